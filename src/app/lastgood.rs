//! The last configuration that worked, kept for a start with one that does not.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::config::{Config, Environment};

/// Its name in the state directory.
const FILE: &str = "config.last-good.toml";
/// A configuration file is not longer.
const MAX_BYTES: u64 = 1 << 20;

/// Keeps the text of a file that was taken over: the file alone, without what variables say. A reader sees the old text or
/// the new one, whole. Nothing is written where it is kept already.
///
/// # Errors
/// The system's; what was kept before stays.
pub fn keep(dir: &Path, text: &str) -> io::Result<()> {
    let path = dir.join(FILE);
    if kept(&path).is_ok_and(|kept| kept == text) {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let temporary = path.with_extension("tmp");
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, &path)?;
    File::open(dir)?.sync_all()
}

fn kept(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// What was kept, to be used in place of the file at `path`, which has problems: relative paths in it start where the
/// file's do, and variables override it as they do that. `None`: nothing was kept, it is not wanted, or it has problems as
/// well, so that the variables are to blame.
///
/// The directory is the environment's or the one that the file names, as far as it can be read.
pub fn find(path: &Path, environment: &Environment) -> Option<(Config, String)> {
    let dir = Config::last_good_dir(path, environment)?;
    let text = kept(&dir.join(FILE)).ok()?;
    let name = dir.join(FILE).to_string_lossy().into_owned();
    let config = Config::from_text_of(&text, path, &name, environment).ok()?;
    config.keep.last_good_config.then_some((config, text))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const GOOD: &str = "[state]\ndir = 'state'\n[cache]\nmax_ttl = '7s'\n";

    fn found(broken: &str, environment: &Environment) -> Option<u64> {
        let dir = tempfile::tempdir().unwrap();
        keep(&dir.path().join("state"), GOOD).unwrap();
        let path = dir.path().join("config.toml");
        fs::write(&path, broken).unwrap();
        assert!(Config::load(Some(&path), environment).is_err(), "{broken}");
        find(&path, environment).map(|(config, text)| {
            assert_eq!(text, GOOD);
            assert_eq!(config.import.state_dir, Some(dir.path().join("state")));
            config.cache.max_ttl.as_secs()
        })
    }

    #[test]
    fn it_is_found_where_a_broken_file_still_says_so() {
        let none = Environment::default();
        assert_eq!(found("[state]\ndir = 'state'\n[cache]\nmax_tll = '1s'\n", &none), Some(7));
        assert_eq!(
            found("[state]\ndir = 'state'\n[cache\nmax_ttl = = '1s'\n", &none),
            Some(7),
            "of syntax, too"
        );
        assert_eq!(found("[statement]\ndir = 'state'\n", &none), None, "nobody says where");
        assert_eq!(found("[state]\ndir = 7\n", &none), None);
        assert_eq!(found("[state]\ndir = 'state'\nlast_good_config = false\nx = 1\n", &none), None);
        let off: Environment = [("ZONELET_STATE__LAST_GOOD_CONFIG", "false")].into_iter().collect();
        assert_eq!(found("[state]\ndir = 'state'\nx = 1\n", &off), None);
        let bad: Environment = [("ZONELET_CACHE__MAX_TTL", "soon")].into_iter().collect();
        assert_eq!(found("[state]\ndir = 'state'\n", &bad), None, "the variable is to blame");
    }

    #[test]
    fn what_is_kept_is_for_its_owner_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (state, path) = (dir.path().join("a/b"), dir.path().join("a/b").join(FILE));
        keep(&state, "one").unwrap();
        let written = fs::metadata(&path).unwrap();
        keep(&state, "one").unwrap();
        assert_eq!(written.modified().unwrap(), fs::metadata(&path).unwrap().modified().unwrap());
        keep(&state, "two").unwrap();
        assert_eq!(kept(&path).unwrap(), "two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
    }
}
