//! The protocol: one request, one answer.

use super::{
    checksum,
    concat::concatenate,
    fields,
    id::UploadId,
    info::{Info, Kind},
    receive::Receiver,
    refusal::{Refusal, VERSION},
    store::Store,
    stored::{State, Stored},
    sweep,
};
use crate::{Request, Response, http::http_date, spawn, unblock};
use http::Method;
use std::sync::Arc;

/// The extensions of the protocol that there are. The trailers of streamed content do not reach handlers,
/// so there is no `checksum-trailer`.
const EXTENSIONS: &str = "creation,creation-defer-length,creation-with-upload,expiration,checksum,\
                          termination,concatenation";

/// Answers a request to the directory or to one upload.
pub(super) async fn serve(store: Arc<Store>, req: Request) -> Response {
    let response = match answer(&store, req).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    };
    sweep::keep_swept(&store);
    // A cache must never answer for an upload that is gone, or with an offset that has moved on.
    response.header("tus-resumable", VERSION).header("cache-control", "no-store")
}

async fn answer(store: &Arc<Store>, mut req: Request) -> Result<Response, Refusal> {
    let method = fields::method(&req)?;
    // From here on everybody sees the method that counts, the program's check above all.
    req.parts_mut().head.set_method(method.clone());
    if method == Method::OPTIONS {
        return Ok(options(store));
    }
    if let Some(Err(error)) = store.hooks.authorize.as_ref().map(|check| check(&req)) {
        return Ok(Response::failed(error));
    }
    if fields::field(&req, "Tus-Resumable")? != Some(VERSION) {
        return Err(Refusal::new(412, format!("Tus-Resumable must be {VERSION}")));
    }
    let Some(name) = req.param("id").filter(|name| !name.is_empty()) else {
        return match method.as_str() {
            "POST" => create(store, req).await,
            _ => Ok(not_allowed("OPTIONS, POST")),
        };
    };
    let id = UploadId::parse(name).ok_or_else(Refusal::unknown);
    match method.as_str() {
        "HEAD" => head(store, id?).await,
        "PATCH" => patch(store, id?, req).await,
        "DELETE" => delete(store, id?).await,
        _ => Ok(not_allowed("OPTIONS, HEAD, PATCH, DELETE")),
    }
}

fn options(store: &Store) -> Response {
    Response::new(http::StatusCode::NO_CONTENT)
        .header("tus-version", VERSION)
        .header("tus-extension", EXTENSIONS)
        .header("tus-max-size", store.limits.max_upload_bytes)
        .header("tus-checksum-algorithm", checksum::ALGORITHMS)
}

fn not_allowed(methods: &'static str) -> Response {
    Refusal::new(405, "the method is not one for this URL").into_response().header("allow", methods)
}

async fn head(store: &Arc<Store>, id: UploadId) -> Result<Response, Refusal> {
    let state = with_upload(store, id, |mut stored| {
        stored.acknowledge()?;
        stored.state()
    });
    let state = state.await?;
    let mut response = describe(Response::new(http::StatusCode::OK), &state);
    response = match state.info.length {
        Some(length) => response.header("upload-length", length),
        None => response.header("upload-defer-length", "1"),
    };
    if let Some(concat) = state.info.concat() {
        response = response.header("upload-concat", concat);
    }
    if !state.info.metadata.is_empty() {
        response = response.header("upload-metadata", state.info.metadata);
    }
    Ok(response)
}

async fn delete(store: &Arc<Store>, id: UploadId) -> Result<Response, Refusal> {
    with_upload(store, id, Stored::remove).await?;
    Ok(Response::new(http::StatusCode::NO_CONTENT))
}

async fn patch(store: &Arc<Store>, id: UploadId, mut req: Request) -> Result<Response, Refusal> {
    fields::check_content_type(&req)?;
    let offset = fields::number(&req, "Upload-Offset")?
        .ok_or_else(|| Refusal::new(400, "Upload-Offset is missing"))?;
    let length = fields::number(&req, "Upload-Length")?;
    let checksum = fields::checksum(&req)?;
    let content_len = fields::content_len(&req);
    let receiver = with_upload(store, id, move |mut stored| {
        if let Kind::Final(_) = stored.info().kind {
            return Err(Refusal::new(403, "a final upload is not written to"));
        }
        if stored.offset() != offset {
            return Err(Refusal::new(409, format!("the offset is {}", stored.offset())));
        }
        if let Some(length) = length {
            stored.set_length(length, content_len.unwrap_or(0))?;
        }
        Receiver::new(stored, content_len, checksum)
    });
    let state = spawn(receiver.await?.receive(req.body_stream())).await?;
    Ok(describe(Response::new(http::StatusCode::NO_CONTENT), &state))
}

async fn create(store: &Arc<Store>, req: Request) -> Result<Response, Refusal> {
    let info = fields::creation(&req, &store.limits)?;
    let has_content = fields::content_len(&req) != Some(0);
    if has_content {
        fields::check_content_type(&req)?;
    }
    let location = req.target().split('?').next().unwrap_or_default();
    let location = location.trim_end_matches('/').to_string();
    let state = match &info.kind {
        Kind::Final(_) if has_content => {
            return Err(Refusal::new(400, "a final upload has the content of its parts"));
        }
        Kind::Final(_) => concatenate(store, info).await?,
        Kind::Whole | Kind::Partial => create_with_content(store, info, req).await?,
    };
    let response = describe(Response::new(http::StatusCode::CREATED), &state);
    Ok(response.header("location", format!("{location}/{}", state.id)))
}

/// Makes an upload and receives the content that came with the request, be it none.
///
/// When that goes wrong, or the client leaves before, nothing is left, as nobody will learn the name.
async fn create_with_content(
    store: &Arc<Store>,
    info: Info,
    mut req: Request,
) -> Result<State, Refusal> {
    let checksum = fields::checksum(&req)?;
    let content_len = fields::content_len(&req);
    let store = Arc::clone(store);
    let body = req.body_stream();
    // Dropped with this future, which goes when the client does; the task goes on.
    let client = Arc::new(());
    let creator = Arc::downgrade(&client);
    let created = spawn(async move {
        let receiver = unblock(move || {
            if content_len.unwrap_or(0) > info.length.unwrap_or(store.limits.max_upload_bytes) {
                return Err(Refusal::too_long());
            }
            let receiver = Receiver::new(store.create(info)?, content_len, checksum)?;
            Ok(receiver.for_creator(creator))
        });
        receiver.await?.receive(body).await
    });
    let state = created.await;
    drop(client);
    state
}

/// Works on an upload on the blocking pool, alone.
async fn with_upload<T: Send + 'static>(
    store: &Arc<Store>,
    id: UploadId,
    work: impl FnOnce(Stored) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let lease = store.leases.take(id).await.ok_or_else(Refusal::locked)?;
    let store = Arc::clone(store);
    unblock(move || work(store.load(lease)?)).await
}

/// Says how far an upload has come, and until when it may go on.
fn describe(response: Response, state: &State) -> Response {
    let response = response.header("upload-offset", state.offset);
    match state.expires.and_then(http_date) {
        Some(expires) => response.header("upload-expires", expires),
        None => response,
    }
}
