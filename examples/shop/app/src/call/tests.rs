//! Addresses a service may be given, and one real exchange over loopback.
use axum::extract::FromRequestParts;
use axum::{Router, http::HeaderMap, routing::post};

use super::*;

#[test]
fn takes_plain_http_origins_only() {
    let authority = |url| Upstream::new("payments", url).map(|upstream| upstream.authority);
    assert_eq!(authority("http://127.0.0.1:15101"), Ok("127.0.0.1:15101".into()));
    assert_eq!(authority("http://payments/"), Ok("payments:80".into()));
    for bad in ["", "127.0.0.1:15101", "https://payments", "http://", "http://a@b", "http://b/path", "http://b/?q"] {
        assert_eq!(authority(bad), Err(NotAUrl), "{bad}");
    }
}

async fn serve(app: Router) -> Upstream {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    Upstream::new("payments", &url).unwrap()
}

#[tokio::test]
async fn forwards_the_context_and_reads_the_answer() {
    let echo = |headers: HeaderMap, body: String| async move {
        let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned());
        let seen = [text("host"), text("x-request-id"), text("traceparent"), text("authorization"), text("cookie")];
        (StatusCode::CREATED, axum::Json((seen, body)))
    };
    let upstream = serve(Router::new().route("/charges", post(echo))).await;
    let (mut parts, ()) = Request::builder()
        .header("x-request-id", "r-1")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .header("cookie", "not=forwarded")
        .body(())
        .unwrap()
        .into_parts();
    let context = Context::from_request_parts(&mut parts, &()).await.unwrap();
    let answer = upstream.call(&context, Method::POST, "/charges", Some("t"), Some(&[1, 2])).await.unwrap();
    assert_eq!(answer.status, StatusCode::CREATED);
    let (seen, body): ([Option<String>; 5], String) = answer.json().unwrap();
    let seen = seen.map(Option::unwrap_or_default);
    assert_eq!(seen[..2], ["payments", "r-1"]);
    assert_eq!(seen[2..], ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Bearer t", ""]);
    assert_eq!(body, "[1,2]");
}

#[tokio::test]
async fn refuses_an_answer_over_the_limit_and_reports_a_dead_port() {
    let sized = |body: String| async move { "x".repeat(body.trim_matches('"').parse().unwrap()) };
    let upstream = serve(Router::new().route("/", post(sized))).await;
    let call =
        async |size: usize| upstream.call(&Context::default(), Method::POST, "/", None, Some(&size.to_string())).await;
    assert_eq!(call(ANSWER_BYTES_MAX).await.unwrap().body.len(), ANSWER_BYTES_MAX);
    assert!(matches!(call(ANSWER_BYTES_MAX + 1).await, Err(CallError::Body(_))));

    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let dead = Upstream::new("payments", &format!("http://{free}")).unwrap();
    let result = dead.call(&Context::default(), Method::GET, "/", None, None::<&()>).await;
    assert!(matches!(result, Err(CallError::Connect(_))));
}
