//! Which of the zones found are wanted.

use std::collections::{BTreeMap, HashMap};

use crate::source::SourceError;
use crate::source::settings::{VpcSelector, ZoneSelector};
use crate::wire::{NamePattern, NameRef};

/// The id without the `/hostedzone/` that some calls put in front.
pub fn bare_id(id: &str) -> &str {
    id.trim_start_matches('/').trim_start_matches("hostedzone/")
}

/// The selectors in one line, the same for the same ones. Roles are not in it: another role must not
/// make other zones of those that were known before.
pub fn label(zones: &ZoneSelector) -> String {
    let vpc = zones.vpc.as_ref().map(|vpc| match vpc {
        VpcSelector::Auto => "vpc=auto".to_owned(),
        VpcSelector::Id(id) => format!("vpc={id}"),
    });
    let list =
        |key: &str, values: &[String]| (!values.is_empty()).then(|| format!("{key}={}", values.join(",")));
    let tags: Vec<String> = zones.tags.iter().map(|(key, value)| format!("{key}:{value}")).collect();
    let parts = [vpc, list("ids", &zones.ids), list("names", &zones.names), list("tags", &tags)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "account".into() } else { parts.join(" ") }
}

/// The ids, names and tags of a [`ZoneSelector`], all of which must match.
#[derive(Debug, Default)]
pub struct Wanted {
    ids: Vec<String>,
    patterns: Vec<NamePattern>,
    tags: BTreeMap<String, String>,
}

impl Wanted {
    /// Reads the selector's ids and patterns.
    ///
    /// # Errors
    /// [`SourceError::Misconfigured`] for a pattern that is no name.
    pub fn new(selector: &ZoneSelector) -> Result<Self, SourceError> {
        let ids = selector.ids.iter().map(|id| bare_id(id).to_owned()).collect();
        let patterns = selector.names.iter().map(|text| pattern(text)).collect::<Result<_, _>>()?;
        Ok(Self { ids, patterns, tags: selector.tags.clone() })
    }

    /// One name or pattern alone.
    ///
    /// # Errors
    /// As for [`Wanted::new`].
    pub fn of_name(text: &str) -> Result<Self, SourceError> {
        Ok(Self { patterns: vec![pattern(text)?], ..Self::default() })
    }

    /// The ids that were asked for by name; empty for all.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Whether tags have a say.
    pub fn asks_tags(&self) -> bool {
        !self.tags.is_empty()
    }

    /// Whether a zone with these tags is wanted.
    pub fn matches_tags(&self, tags: &HashMap<&str, &str>) -> bool {
        self.tags
            .iter()
            .all(|(key, wanted)| tags.get(key.as_str()).is_some_and(|value| wanted == "*" || wanted == value))
    }

    /// Whether a zone is wanted, its tags aside.
    pub fn matches(&self, id: &str, apex: NameRef<'_>) -> bool {
        let by_id = self.ids.is_empty() || self.ids.iter().any(|wanted| wanted == id);
        let by_name = |pattern: &NamePattern| pattern.matches(apex);
        by_id && (self.patterns.is_empty() || self.patterns.iter().any(by_name))
    }
}

fn pattern(text: &str) -> Result<NamePattern, SourceError> {
    let problem = |e| SourceError::Misconfigured(format!("zones.names: {text:?} is not a zone name: {e}"));
    text.parse().map_err(problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;

    fn wanted(ids: &[&str], names: &[&str]) -> Wanted {
        let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        let selector = ZoneSelector { ids: owned(ids), names: owned(names), ..ZoneSelector::default() };
        Wanted::new(&selector).unwrap()
    }

    #[test]
    fn a_label_is_the_selectors() {
        assert_eq!(label(&ZoneSelector::default()), "account");
        let zones = ZoneSelector {
            vpc: Some(VpcSelector::Auto),
            ids: vec!["Z1".into(), "Z2".into()],
            names: vec!["*.internal".into()],
            tags: [("team".into(), "core".into()), ("env".into(), "*".into())].into(),
        };
        assert_eq!(label(&zones), "vpc=auto ids=Z1,Z2 names=*.internal tags=env:*,team:core");
    }

    #[test]
    fn all_tags_must_be_there_and_a_star_is_any_value() {
        let tags = [("team".into(), "core".into()), ("env".into(), "*".into())].into();
        let wanted = Wanted::new(&ZoneSelector { tags, ..ZoneSelector::default() }).unwrap();
        for (tags, matches) in [
            (&[("team", "core"), ("env", "prod"), ("x", "y")][..], true),
            (&[("team", "core"), ("env", "")], true),
            (&[("team", "core")], false),
            (&[("team", "edge"), ("env", "prod")], false),
            (&[("Team", "core"), ("env", "prod")], false),
        ] {
            assert_eq!(wanted.matches_tags(&tags.iter().copied().collect()), matches, "{tags:?}");
        }
    }

    #[test]
    fn ids_come_with_and_without_their_prefix() {
        assert_eq!(bare_id("/hostedzone/Z1"), "Z1");
        assert_eq!(bare_id("hostedzone/Z1"), "Z1");
        assert_eq!(bare_id("Z1"), "Z1");
        let apex: Name = "corp.internal".parse().unwrap();
        assert!(wanted(&["/hostedzone/Z1"], &[]).matches("Z1", apex.as_ref()));
        assert!(!wanted(&["Z1"], &[]).matches("Z2", apex.as_ref()));
    }

    #[test]
    fn selectors_are_combined_with_and() {
        let apex: Name = "a.corp.internal".parse().unwrap();
        assert!(wanted(&[], &[]).matches("Z1", apex.as_ref()));
        assert!(wanted(&["Z1"], &["*.corp.internal"]).matches("Z1", apex.as_ref()));
        assert!(!wanted(&["Z1"], &["corp.internal"]).matches("Z1", apex.as_ref()));
        assert!(!wanted(&["Z2"], &["*.corp.internal"]).matches("Z1", apex.as_ref()));
    }

    #[test]
    fn a_star_pattern_means_below_and_not_the_name_itself() {
        let below = wanted(&[], &["*.Internal."]);
        for (apex, matches) in [("internal", false), ("corp.internal", true), ("x.corp.internal", true)] {
            let apex: Name = apex.parse().unwrap();
            assert_eq!(below.matches("Z1", apex.as_ref()), matches, "{apex}");
        }
        let bad = ZoneSelector { names: vec!["a..b".into()], ..ZoneSelector::default() };
        assert!(
            matches!(Wanted::new(&bad), Err(SourceError::Misconfigured(text)) if text.contains("zones.names"))
        );
    }
}
