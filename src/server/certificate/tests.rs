//! Certificates that come, change and go, in files.

use std::fs;
use std::time::{Duration, SystemTime};

use metrics_exporter_prometheus::PrometheusBuilder;
use tempfile::TempDir;

use super::*;

struct Files {
    dir: TempDir,
    files: CertificateFiles,
}

/// A certificate and its key in PEM.
fn issued(days: i64) -> (String, String) {
    let mut params = rcgen::CertificateParams::new(vec!["dns.test".to_owned()]).unwrap();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let date = rcgen::date_time_ymd(1970, 1, 1);
    let seconds = |days: i64| Duration::from_secs((since + days * DAY as i64) as u64);
    params.not_before = date + seconds(-30);
    params.not_after = date + seconds(days);
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

impl Files {
    fn new((chain, key): &(String, String)) -> Self {
        let dir = TempDir::new().unwrap();
        let at = |name: &str| dir.path().join(name);
        let files = CertificateFiles { chain: at("chain.pem"), key: at("key.pem") };
        let files = Self { dir, files };
        files.put(chain, key);
        files
    }

    fn put(&self, chain: &str, key: &str) {
        fs::write(&self.files.chain, chain).unwrap();
        fs::write(&self.files.key, key).unwrap();
    }

    fn said(&self) -> String {
        check(&self.files).unwrap_err().with_causes()
    }
}

fn shown_by(identity: &Identity) -> rustls::pki_types::CertificateDer<'static> {
    identity.current.load().as_ref().expect("a certificate").cert[0].clone()
}

fn published(metrics: &ServerMetrics) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || metrics.publish());
    recorder.handle().render()
}

#[test]
fn each_thing_that_can_be_wrong_with_the_files_has_its_own_words() {
    let (one, other) = (issued(30), issued(30));
    let files = Files::new(&one);
    assert!(check(&files.files).is_ok());
    for (chain, key, words, of_key) in [
        (&*one.0, &*other.1, "is not that of the certificate", true),
        ("", &*one.1, "chain.pem holds no certificate in PEM", false),
        (&*one.0, "", "key.pem holds no private key in PEM", true),
        (&*one.0, &*one.0, "key.pem holds no private key in PEM", true),
        ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", &*one.1, "is not good PEM", false),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &*one.1,
            "chain.pem cannot be used",
            false,
        ),
    ] {
        files.put(chain, key);
        let said = files.said();
        assert!(said.contains(words), "{said}");
        assert_eq!(check(&files.files).unwrap_err().is_of_key(&files.files), of_key, "{said}");
    }
    fs::remove_file(&files.files.key).unwrap();
    assert!(files.said().contains("key.pem cannot be read: No such file"), "{}", files.said());
    fs::write(&files.files.key, vec![b'x'; 2 << 20]).unwrap();
    assert!(files.said().contains("larger than any certificate"));
}

#[test]
fn new_content_is_taken_and_what_is_bad_leaves_the_old_in_force() {
    let files = Files::new(&issued(30));
    let metrics = Arc::new(ServerMetrics::default());
    let identity = Identity::load(files.files.clone(), Arc::clone(&metrics));
    let shown = || shown_by(&identity);
    let first = shown();
    let next = issued(60);
    // The key comes later than the certificate.
    fs::write(&files.files.chain, &next.0).unwrap();
    identity.look(SystemTime::now());
    identity.look(SystemTime::now());
    assert_eq!(shown(), first);
    fs::write(&files.files.key, &next.1).unwrap();
    identity.look(SystemTime::now());
    assert_ne!(shown(), first);
    fs::remove_file(&files.files.chain).unwrap();
    identity.look(SystemTime::now());
    identity.look(SystemTime::now());
    assert_ne!(shown(), first, "what was taken stays");
    let text = published(&metrics);
    for line in [
        "zonelet_server_certificate_reloads_total{result=\"taken\"} 1",
        // Each bad content once, however often it is read.
        "zonelet_server_certificate_reloads_total{result=\"refused\"} 2",
    ] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
}

#[test]
fn files_that_are_no_good_at_first_are_said_and_taken_once_they_are() {
    let good = issued(30);
    let files = Files::new(&(String::new(), good.1.clone()));
    let metrics = Arc::new(ServerMetrics::default());
    let identity = Identity::load(files.files.clone(), Arc::clone(&metrics));
    identity.look(SystemTime::now());
    assert!(!identity.is_there());
    let text = published(&metrics);
    for line in [
        "zonelet_server_certificate_unusable 1",
        "zonelet_server_certificate_reloads_total{result=\"refused\"} 1",
    ] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
    assert!(!text.contains("zonelet_server_certificate_expiry_seconds "), "there is none to end:\n{text}");
    files.put(&good.0, &good.1);
    identity.look(SystemTime::now());
    assert!(identity.is_there());
    let text = published(&metrics);
    for line in [
        "zonelet_server_certificate_unusable 0",
        // None was replaced.
        "zonelet_server_certificate_reloads_total{result=\"taken\"} 0",
        "zonelet_server_certificate_expiry_seconds ",
    ] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
    // Other files that are no good are another thing to be said, and what there is stays.
    let absent = CertificateFiles { chain: files.dir.path().join("absent"), ..files.files.clone() };
    identity.reload(&absent);
    assert!(identity.is_there());
    assert!(published(&metrics).contains("zonelet_server_certificate_unusable 1"));
    identity.reload(&CertificateFiles { chain: files.dir.path().join("gone"), ..absent });
    assert!(published(&metrics).contains("zonelet_server_certificate_reloads_total{result=\"refused\"} 3"));
}

#[test]
fn a_link_that_is_swapped_is_followed_and_other_files_are_taken_at_a_reload() {
    let (one, other) = (Files::new(&issued(30)), Files::new(&issued(30)));
    let link = one.dir.path().join("live");
    let files = CertificateFiles { chain: link.join("chain.pem"), key: link.join("key.pem") };
    std::os::unix::fs::symlink(one.dir.path(), &link).unwrap();
    let identity = Identity::load(files, Arc::default());
    let first = shown_by(&identity);
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(other.dir.path(), &link).unwrap();
    identity.look(SystemTime::now());
    let second = shown_by(&identity);
    assert_ne!(first, second);
    identity.reload(&one.files);
    assert_eq!(shown_by(&identity), first);
}

#[test]
fn the_end_is_published_and_warned_of_once_a_day() {
    let files = Files::new(&issued(2));
    let metrics = Arc::new(ServerMetrics::default());
    let identity = Identity::load(files.files.clone(), Arc::clone(&metrics));
    let end = identity.state().not_after.unwrap();
    // As the exporter writes numbers.
    assert!(published(&metrics).contains(&format!("zonelet_server_certificate_expiry_seconds {end}")));
    let warned = || identity.state().warned;
    let first = warned().expect("two days are soon");
    let after = |seconds: u64| UNIX_EPOCH + Duration::from_secs(first + seconds);
    identity.look(after(DAY - 1));
    assert_eq!(warned(), Some(first));
    identity.look(after(DAY));
    assert_eq!(warned(), Some(first + DAY));
    let long = Files::new(&issued(30));
    let identity = Identity::load(long.files.clone(), metrics);
    assert_eq!(identity.state().warned, None);
}
