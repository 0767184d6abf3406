//! The rules, apart from any call.

use super::*;

const HEALTHY: State = State::Healthy;
const ILL: State = State::Unhealthy;

fn calculated(threshold: usize, children: &[&str]) -> Check {
    let children = children.iter().map(|id| Box::from(*id)).collect();
    Check { calculation: Some(Calculation { threshold, children }), ..Check::default() }
}

fn inverted(check: Check) -> Check {
    Check { is_inverted: true, ..check }
}

/// What comes out for `id`, with its age in seconds.
fn state(id: &str, checks: &[(&str, Check)], readings: &[(&str, State, u64)]) -> Option<(State, u64)> {
    let checks: HashMap<&str, &Check> = checks.iter().map(|(id, check)| (*id, check)).collect();
    let reading = |state, age| Reading { state, age: Duration::from_secs(age) };
    let readings = readings.iter().map(|&(id, state, age)| (Box::from(id), reading(state, age))).collect();
    let mut picture = Picture::new(|id| checks.get(id).copied(), &readings);
    picture.state(id).map(|reading| (reading.state, reading.age.as_secs()))
}

#[test]
fn the_api_s_shape_is_read() {
    let config = HealthCheckConfig::builder()
        .r#type(HealthCheckType::Calculated)
        .health_threshold(2)
        .set_child_health_checks(Some(vec!["a".into(), "b".into()]))
        .inverted(true)
        .build()
        .unwrap();
    assert_eq!(Check::of(&config), inverted(calculated(2, &["a", "b"])));
    let plain = HealthCheckConfig::builder().r#type(HealthCheckType::Tcp).health_threshold(2);
    let config = plain.disabled(true).build().unwrap();
    assert_eq!(Check::of(&config), Check { is_disabled: true, ..Check::default() });
}

#[test]
fn a_plain_check_is_what_was_measured_and_an_inverted_one_the_opposite() {
    let plain = [("x", Check::default())];
    assert_eq!(state("x", &plain, &[("x", ILL, 60)]), Some((ILL, 60)));
    assert_eq!(state("x", &plain, &[]), None);
    assert_eq!(state("x", &[], &[("x", HEALTHY, 60)]), Some((HEALTHY, 60)), "no settings, but measured");
    let turned = [("x", inverted(Check::default()))];
    assert_eq!(state("x", &turned, &[("x", ILL, 60)]), Some((HEALTHY, 60)));
    assert_eq!(state("x", &turned, &[("x", HEALTHY, 60)]), Some((ILL, 60)));
    assert_eq!(state("x", &turned, &[]), None, "unknown is not turned");
}

#[test]
fn settings_alone_decide_for_disabled_checks_and_thresholds_out_of_range() {
    let disabled = [("x", Check { is_disabled: true, ..Check::default() })];
    assert_eq!(state("x", &disabled, &[("x", ILL, 60)]), Some((HEALTHY, 0)));
    let out = [("x", Check { is_disabled: true, is_inverted: true, ..Check::default() })];
    assert_eq!(state("x", &out, &[("x", HEALTHY, 60)]), Some((ILL, 0)), "taken out of service");
    let ill = [("x", ILL, 60)];
    assert_eq!(state("x", &[("x", calculated(0, &["a"]))], &ill), Some((HEALTHY, 0)));
    assert_eq!(state("x", &[("x", calculated(2, &["a"]))], &[("x", HEALTHY, 60)]), Some((ILL, 0)));
    assert_eq!(state("x", &[("x", calculated(1, &[]))], &[]), Some((ILL, 0)));
}

#[test]
fn a_calculated_check_goes_by_its_own_metric_first() {
    let checks = [("x", calculated(1, &["a"]))];
    assert_eq!(state("x", &checks, &[("x", ILL, 60), ("a", HEALTHY, 0)]), Some((ILL, 60)));
}

#[test]
fn without_a_metric_the_children_decide_as_far_as_they_are_known() {
    let checks = [("x", calculated(2, &["a", "b", "c"]))];
    let of = |readings: &[(&str, State, u64)]| state("x", &checks, readings);
    assert_eq!(of(&[("a", HEALTHY, 60), ("b", HEALTHY, 90), ("c", ILL, 30)]), Some((HEALTHY, 90)));
    assert_eq!(of(&[("a", HEALTHY, 60), ("b", HEALTHY, 90)]), Some((HEALTHY, 90)), "c cannot change it");
    assert_eq!(of(&[("a", ILL, 60), ("b", ILL, 90)]), Some((ILL, 90)), "nor here");
    assert_eq!(of(&[("a", HEALTHY, 60), ("b", ILL, 90)]), None, "c decides");
    assert_eq!(of(&[]), None);
}

#[test]
fn children_are_taken_as_their_own_settings_say() {
    let checks = [
        ("x", inverted(calculated(3, &["off", "turned", "sum"]))),
        ("off", Check { is_disabled: true, ..Check::default() }),
        ("turned", inverted(Check::default())),
        ("sum", calculated(1, &["a", "b"])),
    ];
    assert_eq!(state("x", &checks, &[("turned", ILL, 60), ("b", HEALTHY, 120)]), Some((ILL, 120)));
    assert_eq!(state("x", &checks, &[("turned", HEALTHY, 60), ("b", HEALTHY, 120)]), Some((HEALTHY, 120)));
}

#[test]
fn circles_and_bottomless_chains_end_unknown() {
    let circle = [("x", calculated(1, &["y"])), ("y", calculated(1, &["x", "y"]))];
    assert_eq!(state("x", &circle, &[]), None);
    let names: Vec<String> = (0..2000).map(|n| format!("c{n}")).collect();
    let chain: Vec<(&str, Check)> =
        names.windows(2).map(|pair| (pair[0].as_str(), calculated(1, &[&pair[1]]))).collect();
    let at = |n: usize| [(names[n].as_str(), HEALTHY, 5)];
    assert_eq!(state("c0", &chain, &at(1999)), None);
    assert_eq!(state("c0", &chain, &at(MAX_DEPTH - 1)), Some((HEALTHY, 5)));
    // Every check follows every other: each is worked out once all the same.
    let many: Vec<&str> = names.iter().take(200).map(String::as_str).collect();
    let web: Vec<(&str, Check)> = many.iter().map(|&id| (id, calculated(1, &many))).collect();
    assert_eq!(state("c0", &web, &[]), None);
}
