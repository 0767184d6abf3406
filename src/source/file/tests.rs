//! Tests of the file source.

use std::fs;

use crate::zone::Body;

use super::*;

const ZONE: &str = "$ORIGIN nick.test.\n$TTL 60\n@ SOA a b 1 2 3 4 5\nnginx A 172.31.52.184\n";
const JSON: &str = r#"
 {"ResourceRecordSets":[
  {"Name":"nick.test.","Type":"SOA","TTL":900,"ResourceRecords":[{"Value":"a. b. 1 2 3 4 5"}]},
  {"Name":"nginx.nick.test.","Type":"A","TTL":3600,"ResourceRecords":[{"Value":"172.31.52.184"}]},
  {"Name":"\\052.nick.test.","Type":"A","AliasTarget":
   {"HostedZoneId":"Z1","DNSName":"nginx.nick.test.","EvaluateTargetHealth":true}}]}"#;

fn source(dir: &tempfile::TempDir, zone: Option<&str>) -> FileSource {
    let settings =
        FileSettings { path: dir.path().join("zone"), zone: zone.map(|z| z.parse().unwrap()), region: None };
    FileSource::with_poll(settings, Duration::from_millis(5))
}

fn written(content: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("zone"), content).unwrap();
    dir
}

async fn problem(content: &[u8], zone: Option<&str>) -> String {
    let dir = written(content);
    let error = source(&dir, zone).discover().await.unwrap_err();
    let cause = std::error::Error::source(&error).map(|e| format!(": {e}")).unwrap_or_default();
    format!("{error}{cause}")
}

#[tokio::test]
async fn both_formats_are_told_apart_by_their_first_byte() {
    for content in [ZONE, JSON] {
        let dir = written(content.as_bytes());
        let source = source(&dir, None);
        let found = source.discover().await.unwrap();
        assert_eq!(found[0].apex.to_string(), "nick.test.");
        assert_eq!(found[0].access, Access::Readable);
        let fetched = source.fetch(&found[0], &mut Progress::default()).await.unwrap();
        let nginx: Name = "nginx.nick.test".parse().unwrap();
        let set = fetched.data.sets.iter().find(|s| s.owner == nginx).unwrap();
        let Body::Records { rdata, .. } = &set.body else { panic!("deferred") };
        assert_eq!(*rdata[0], [172, 31, 52, 184]);
        assert_eq!(fetched.data.skipped, []);
    }
}

#[tokio::test]
async fn errors_name_the_file_and_the_line() {
    let include = problem(b"$TTL 1\n\n$INCLUDE x", None).await;
    assert!(include.contains("zone:3: $INCLUDE"), "{include}");
    let json = problem(b"{\n\"ResourceRecordSets\": 5}", None).await;
    assert!(json.contains("zone:2: "), "{json}");
    let missing = source(&tempfile::tempdir().unwrap(), None).discover().await.unwrap_err();
    assert!(missing.to_string().contains("zone failed"), "{missing}");
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("zone")).unwrap();
    assert!(source(&dir, None).discover().await.is_err());
}

#[tokio::test]
async fn a_part_of_a_listing_is_not_a_zone() {
    for part in
        [r#"{"IsTruncated":true,"ResourceRecordSets":[]}"#, r#"{"NextToken":"x","ResourceRecordSets":[]}"#]
    {
        assert!(problem(part.as_bytes(), Some("nick.test")).await.contains("truncated"));
    }
}

#[tokio::test]
async fn a_file_without_an_soa_needs_its_zone_named() {
    for content in [&b"{\"ResourceRecordSets\":[]}"[..], b"a.nick.test. 1 A 10.0.0.1"] {
        assert!(problem(content, None).await.contains("`zone`"));
        let dir = written(content);
        let found = source(&dir, Some("nick.test")).discover().await.unwrap();
        assert_eq!(found[0].apex.to_string(), "nick.test.");
    }
    assert!(problem(ZONE.as_bytes(), Some("other.test")).await.contains("other.test."));
}

#[tokio::test]
async fn a_file_without_a_single_readable_record_is_not_an_empty_zone() {
    for content in [&b""[..], b"\n; nothing\n", b"\xff\x00garbage\nmore of it\n", b"$TTL 60\n"] {
        let problem = problem(content, Some("nick.test")).await;
        assert!(problem.contains("no record in it can be read"), "{problem}");
    }
}

#[tokio::test]
async fn a_file_above_the_limit_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    fs::File::create(dir.path().join("zone")).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    let error = source(&dir, None).discover().await.unwrap_err().to_string();
    assert!(error.contains("larger than 64 MiB"), "{error}");
}

#[tokio::test]
async fn a_file_that_turned_into_another_zone_has_lost_the_one_before() {
    let dir = written(ZONE.as_bytes());
    let source = source(&dir, None);
    let found = source.discover().await.unwrap();
    fs::write(dir.path().join("zone"), ZONE.replace("nick", "nora")).unwrap();
    let result = source.fetch(&found[0], &mut Progress::default()).await;
    assert!(matches!(result, Err(SourceError::Gone { .. })));
}

#[tokio::test]
async fn changed_content_is_pushed_through_a_swapped_symlink_too() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("one"), ZONE).unwrap();
    fs::write(at("two"), ZONE.replace("184", "185")).unwrap();
    std::os::unix::fs::symlink("one", at("zone")).unwrap();
    let source = source(&dir, None);
    source.discover().await.unwrap();
    std::os::unix::fs::symlink("two", at("next")).unwrap();
    fs::rename(at("next"), at("zone")).unwrap();
    let mut pushes = source.pushes().unwrap();
    assert!(source.pushes().is_none(), "handed out once");
    assert!(matches!(pushes.recv().await, Some(Push::Rediscover)));
    assert!(matches!(pushes.recv().await, Some(Push::Changed(id)) if id == source.id()));
}

#[tokio::test]
async fn a_byte_order_mark_is_not_part_of_the_zone() {
    for content in [ZONE, JSON] {
        let dir = written(&[b"\xef\xbb\xbf", content.as_bytes()].concat());
        assert_eq!(source(&dir, None).discover().await.unwrap()[0].apex.to_string(), "nick.test.");
    }
}

#[tokio::test]
async fn the_example_zone_is_whole_and_nothing_of_it_is_skipped() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/nick.test.json");
    let source = FileSource::new(FileSettings { path, zone: None, region: None });
    let found = source.discover().await.unwrap();
    let data = source.fetch(&found[0], &mut Progress::default()).await.unwrap().data;
    assert_eq!((data.apex.to_string().as_str(), data.sets.len()), ("nick.test.", 12));
    assert_eq!(data.skipped, []);
}
