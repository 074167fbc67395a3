//! README's first program.
//!
//! cargo run --example hello
//!
//! curl -i localhost:9999/hello/snow
//! curl -i localhost:9999/user/7

use snow::{Request, Response, Result, Snow, get};

fn hello(req: Request) -> String {
    format!("hello, {}\n", req.param("name").unwrap_or("you"))
}

async fn user(req: Request) -> Result<Response> {
    let id: u64 = req.parse_param("id")?; // a 400 that names the parameter
    Ok(Response::text(format!("user {id}\n")))
}

fn main() -> Result<()> {
    Snow::new([get(r"^/hello/(?<name>\w+)$", hello), get(r"^/user/(?<id>\d+)$", user)])
        .run("127.0.0.1:9999")
}
