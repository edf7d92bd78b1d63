//! The HTTP client of the rest of Porter under `object_store`'s trait.
//!
//! Bodies are read whole: every request here is for a range or a small object, so an answer that breaks off is an error
//! of the request, which is sent again, and not of a stream that was begun.

use std::io::{ErrorKind, Read};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use ureq::http::{Method, Request, Response};

const CONNECT: Duration = Duration::from_secs(15);
const ANSWER: Duration = Duration::from_mins(1);
/// A transfer in which nothing comes for this long has ended.
const STALL: Duration = Duration::from_mins(1);
/// No answer is larger: ranges are far smaller, and listings come in pages.
const MAX_BODY_BYTES: u64 = 128 << 20;

/// Makes [`Client`]s.
#[derive(Debug)]
pub(crate) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .timeout_per_read(Some(STALL))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("porter/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(HttpClient::new(Client { agent }))
    }
}

#[derive(Debug)]
struct Client {
    agent: ureq::Agent,
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let agent = self.agent.clone();
        let sent = tokio::task::spawn_blocking(move || send(&agent, Request::from_parts(parts, body)));
        sent.await.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?
    }
}

fn send(agent: &ureq::Agent, request: Request<bytes::Bytes>) -> Result<HttpResponse, HttpError> {
    let (parts, body) = request.into_parts();
    let has_body = parts.method == Method::PUT || parts.method == Method::POST;
    let answer = if has_body {
        agent.run(Request::from_parts(parts, &body[..]))
    } else {
        agent.run(Request::from_parts(parts, ()))
    };
    let (parts, mut body) = answer.map_err(failed)?.into_parts();
    let mut bytes = Vec::new();
    let read = body.as_reader().take(MAX_BODY_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed(ureq::Error::Io(error)))?;
    if bytes.len() as u64 > MAX_BODY_BYTES {
        return Err(failed(ureq::Error::BodyExceedsLimit(MAX_BODY_BYTES)));
    }
    Ok(Response::from_parts(parts, HttpResponseBody::from(bytes)))
}

/// Says which failures may be tried again.
fn failed(error: ureq::Error) -> HttpError {
    let kind = match &error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => HttpErrorKind::Connect,
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => HttpErrorKind::Connect,
        ureq::Error::Io(_) | ureq::Error::Protocol(_) => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, error)
}
