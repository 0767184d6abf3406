//! Replies are believed only when they are whole.
//!
//! The SDK's decoder takes a body that ends anywhere behind its root tag for a complete reply: the
//! record sets before the cut, a value cut short, a missing `IsTruncated` as "that was all". HTTP
//! framing does not help where a proxy cut the body and framed it again.

use aws_sdk_route53::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_route53::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeDeserializationInterceptorContextMut,
};
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

/// The largest reply. A record set holds at most 32 000 characters of values and a page at most 300
/// sets, so a real reply stays well below it.
const MAX_REPLY: usize = 32 * 1024 * 1024;

/// Why a reply of status 200 is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReplyFault(pub &'static str);

/// Refuses replies that are not whole, as an interceptor of the SDK.
#[derive(Debug)]
pub struct WholeReplies;

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for WholeReplies {
    fn name(&self) -> &'static str {
        "WholeReplies"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        cap(context);
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        if response.status().as_u16() != 200 {
            return Ok(());
        }
        match response.body().bytes() {
            Some(body) => Ok(check(body)?),
            // It could not be read at all: that error is told as it is.
            None => Ok(()),
        }
    }
}

/// Bounds the size of replies whose decoders notice by themselves that something is missing: JSON
/// and CBOR, unlike XML.
#[derive(Debug)]
pub struct CappedReplies;

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for CappedReplies {
    fn name(&self) -> &'static str {
        "CappedReplies"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        cap(context);
        Ok(())
    }
}

fn cap(context: &mut BeforeDeserializationInterceptorContextMut<'_>) {
    let body = context.response_mut().body_mut();
    let whole = std::mem::replace(body, SdkBody::taken());
    *body = SdkBody::from_body_1_x(Limited::new(whole, MAX_REPLY));
}

/// Checks that `body` ends with the tag it began with, and holds what a listing always holds.
///
/// # Errors
/// [`ReplyFault`] says what is missing.
pub fn check(body: &[u8]) -> Result<(), ReplyFault> {
    let text = std::str::from_utf8(body).map_err(|_| ReplyFault("the reply is not UTF-8"))?;
    let root = root(text).ok_or(ReplyFault("the reply is not XML"))?;
    let needed: &[&str] = match root {
        "ListResourceRecordSetsResponse" => &["<ResourceRecordSets", "<IsTruncated>"],
        "ListHostedZonesResponse" => &["<HostedZones", "<IsTruncated>"],
        "ListHostedZonesByVPCResponse" => &["<HostedZoneSummaries"],
        "ListTagsForResourcesResponse" => &["<ResourceTagSets"],
        "GetHostedZoneResponse" => &["<HostedZone>"],
        "ListHealthChecksResponse" => &["<HealthChecks", "<IsTruncated>"],
        "GetHealthCheckResponse" => &["<HealthCheck>"],
        _ => return Err(ReplyFault("the reply is not one of Route 53")),
    };
    if needed.iter().any(|tag| !text.contains(tag)) {
        return Err(ReplyFault("a part that every such reply has is missing"));
    }
    let is_closed = text
        .trim_end()
        .strip_suffix('>')
        .and_then(|rest| rest.trim_end().strip_suffix(root))
        .is_some_and(|rest| rest.ends_with("</"));
    if is_closed { Ok(()) } else { Err(ReplyFault("the reply was cut: its root is not closed")) }
}

/// The name of the root element, behind declaration and comments.
fn root(text: &str) -> Option<&str> {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let end = if rest.starts_with("<?") {
            "?>"
        } else if rest.starts_with("<!--") {
            "-->"
        } else {
            break;
        };
        rest = rest.split_once(end)?.1.trim_start();
    }
    let name = rest.strip_prefix('<')?;
    let end = name.find(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/')?;
    name.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<?xml version=\"1.0\"?>\n<!-- page -->\n\
        <ListResourceRecordSetsResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
        <ResourceRecordSets><ResourceRecordSet><Name>a.</Name></ResourceRecordSet></ResourceRecordSets>\
        <IsTruncated>false</IsTruncated><MaxItems>300</MaxItems></ListResourceRecordSetsResponse>";

    #[test]
    fn a_body_cut_anywhere_is_not_believed() {
        assert_eq!(check(PAGE.as_bytes()), Ok(()));
        assert_eq!(check(format!("{PAGE}\r\n ").as_bytes()), Ok(()));
        for len in 0..PAGE.len() {
            assert!(check(&PAGE.as_bytes()[..len]).is_err(), "cut at {len}");
        }
    }

    #[test]
    fn a_listing_without_its_end_mark_is_not_believed() {
        let without = PAGE.replace("<IsTruncated>false</IsTruncated>", "");
        assert!(check(without.as_bytes()).is_err());
        assert!(check(b"<ListResourceRecordSetsResponse xmlns=\"x\"/>").is_err());
        assert!(check(b"<ListHostedZonesByVPCResponse></ListHostedZonesByVPCResponse>").is_err());
    }

    #[test]
    fn pages_of_others_are_not_believed() {
        for other in ["<html><body>Sign in</body></html>", "", "{}", "<?xml", "<!-- ", "<a></a>"] {
            assert!(check(other.as_bytes()).is_err(), "{other}");
        }
        assert!(check(&[0xff, 0xfe]).is_err());
    }
}
