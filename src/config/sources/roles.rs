//! `roles` of a source: accounts whose zones are imported, too.

use crate::config::read::{Item, Section};
use crate::source::settings::{Role, Route53Settings};

const EXAMPLE: &str = "write \"arn:aws:iam::123456789012:role/zonelet\"";

/// The ARN alone, or a table with what else assuming the role takes.
pub(super) fn role(item: &Item<'_>) -> Option<Role> {
    if item.as_text().is_some() {
        return Some(Role::new(arn(item)?));
    }
    let section = item.section()?;
    let role = section.get("arn").map_or_else(
        || {
            section.reject("arn", "is missing", Some(EXAMPLE));
            None
        },
        |item| arn(&item),
    );
    let external_id = section.read("external_id", None, |item| external_id(item).map(Some));
    let session_name = section.read("session_name", "zonelet".to_owned(), session_name);
    section.finish();
    Some(Role { arn: role?, external_id, session_name })
}

/// Refuses roles that cannot work together, or here.
pub(super) fn check(section: &Section<'_>, settings: &Route53Settings) {
    let partition = settings.partition.as_deref();
    for (at, role) in settings.roles.iter().enumerate() {
        let account = role.account();
        if settings.roles.iter().take(at).any(|other| other.account() == account) {
            let what = format!("two roles belong to account {account}");
            section.reject("roles", &what, Some("one that may read all its zones is enough"));
        }
        let theirs = role.arn.split(':').nth(1).unwrap_or_default();
        if let Some(partition) = partition.filter(|partition| *partition != theirs) {
            let what = format!("{} is not in partition {partition}", role.arn);
            section.reject("roles", &what, Some("accounts of another partition need a source of their own"));
        }
    }
}

fn arn(item: &Item<'_>) -> Option<String> {
    let text = item.text()?.trim();
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let is_role = match parts.as_slice() {
        ["arn", partition, "iam", "", account, resource] => {
            let is_account = account.len() == 12 && account.chars().all(|c| c.is_ascii_digit());
            let name = resource.strip_prefix("role/").unwrap_or_default();
            let is_name = !name.is_empty()
                && name.len() <= 600
                && name.chars().all(|c| c.is_ascii_graphic() && c != ':');
            partition.starts_with("aws") && is_account && is_name
        }
        _ => false,
    };
    if !is_role {
        item.reject(format!("{text:?} is not the ARN of a role"), Some(EXAMPLE.to_owned()));
    }
    is_role.then(|| text.to_owned())
}

/// The value is not repeated: it is half a secret.
fn external_id(item: &Item<'_>) -> Option<String> {
    let text = item.text()?;
    let is_known = |c: char| c.is_ascii_alphanumeric() || "+=,.@:/\\-_".contains(c);
    if (2..=1224).contains(&text.len()) && text.chars().all(is_known) {
        return Some(text.to_owned());
    }
    let fix = "write 2 to 1224 letters, digits or +=,.@:/\\-_, or leave it out".to_owned();
    item.reject("is not an external id", Some(fix));
    None
}

fn session_name(item: &Item<'_>) -> Option<String> {
    let text = item.text()?;
    let is_known = |c: char| c.is_ascii_alphanumeric() || "+=,.@-_".contains(c);
    if (2..=64).contains(&text.len()) && text.chars().all(is_known) {
        return Some(text.to_owned());
    }
    let fix = "write 2 to 64 letters, digits or +=,.@-_".to_owned();
    item.reject(format!("{text:?} is not a session name"), Some(fix));
    None
}
