//! Uploads that resume: break one off, look how far it came, send the rest.
//!
//! cargo run --features uploads --example uploads
//!
//! curl -i -X POST localhost:9999/files -H 'Tus-Resumable: 1.0.0' -H 'Upload-Length: 11'
//! URL=localhost:9999/files/…                 # as `Location` has it
//! curl -i -X PATCH $URL -H 'Tus-Resumable: 1.0.0' -H 'Upload-Offset: 0' \
//!     -H 'Content-Type: application/offset+octet-stream' -d 'hello '
//! curl -I $URL -H 'Tus-Resumable: 1.0.0'     # Upload-Offset: 6
//! curl -i -X PATCH $URL -H 'Tus-Resumable: 1.0.0' -H 'Upload-Offset: 6' \
//!     -H 'Content-Type: application/offset+octet-stream' -d 'world'
//!
//! An address and a directory may be given as arguments.

use snow::{
    Result, Snow, mount,
    uploads::{Upload, Uploads},
};
use std::env;

fn complete(upload: &Upload) {
    let name = upload.metadata("filename").unwrap_or(b"no name").escape_ascii();
    // A program would take the file out of the directory now: here it stays, and counts.
    log::info!("{name} is complete: {} bytes in {}", upload.len(), upload.path().display());
}

fn main() -> Result<()> {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let mut args = env::args().skip(1);
    let addr = args.next().unwrap_or("127.0.0.1:9999".to_string());
    let uploads = Uploads::new(args.next().unwrap_or("uploads".to_string()))
        .max_upload_bytes(4 << 30)
        .on_complete(complete);
    Snow::new([mount("/files", uploads.routes()?)]).run(addr)
}
