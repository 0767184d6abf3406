//! The IAM policies that some settings need, and no wider.

use serde::Serialize;
use serde_json::{Value, json};

use crate::source::settings::{HintQueue, Role, Route53Settings};

use super::partition::Partition;
use super::vpc::Vpc;

/// An IAM policy; serialises as AWS reads it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: &'static str,
    effect: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<Value>,
    action: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Value>,
}

impl Policy {
    fn new(statement: Vec<Statement>) -> Self {
        Self { version: "2012-10-17", statement }
    }

    /// The text to paste.
    pub fn text(&self) -> String {
        // Text and lists of text always serialise.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// What the credentials found must be allowed. Without `vpc`, listing the zones of a VPC is allowed for
/// all VPCs.
pub fn own(settings: &Route53Settings, vpc: Option<&Vpc>) -> Policy {
    let mut statements = Vec::new();
    if settings.zones.vpc.is_some() {
        let by_vpc = allow("FindZonesOfVpc", &["route53:ListHostedZonesByVPC"], &["*".to_owned()]);
        statements.push(Statement { condition: vpc.map(of_vpc), ..by_vpc });
        let checks = "ListHostedZonesByVpcChecksTheVpc";
        statements.push(allow(checks, &["ec2:DescribeVpcs"], &["*".to_owned()]));
    } else {
        statements.extend(find_in_account(settings));
    }
    statements.extend(read(settings));
    if settings.profiles {
        let actions =
            ["route53profiles:ListProfileAssociations", "route53profiles:ListProfileResourceAssociations"];
        statements.push(allow("FindProfilesOfVpc", &actions, &["*".to_owned()]));
    }
    if settings.resolver_rules {
        let actions = ["route53resolver:ListResolverRuleAssociations", "route53resolver:GetResolverRule"];
        statements.push(allow("FindResolverRulesOfVpc", &actions, &["*".to_owned()]));
    }
    statements.extend(health(settings));
    statements.extend(settings.hints.as_ref().map(|queue| {
        let actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage"];
        allow("ReadHints", &actions, &[queue_arn(settings, queue)])
    }));
    if !settings.roles.is_empty() {
        let roles: Vec<String> = settings.roles.iter().map(|role| role.arn.clone()).collect();
        statements.push(allow("AssumeRolesInOtherAccounts", &["sts:AssumeRole"], &roles));
    }
    Policy::new(statements)
}

/// What a role in another account must be allowed.
pub fn of_role(settings: &Route53Settings) -> Policy {
    let mut statements = Vec::new();
    if settings.zones.vpc.is_none() {
        statements.extend(find_in_account(settings));
    }
    statements.extend(read(settings));
    statements.extend(health(settings));
    Policy::new(statements)
}

/// Who must be trusted by `role`. The external id is not repeated: its place is marked.
pub fn trust(role: &Role, caller: &str) -> Policy {
    let condition = role.external_id.as_ref();
    let condition = condition.map(|_| json!({ "StringEquals": { "sts:ExternalId": "THE-EXTERNAL-ID" } }));
    Policy::new(vec![Statement {
        sid: "ZoneletOfAnotherAccount",
        effect: "Allow",
        principal: Some(json!({ "AWS": caller })),
        action: "sts:AssumeRole".into(),
        resource: None,
        condition,
    }])
}

/// The role or user that an identity of STS belongs to: what a trust policy can name. A session does not
/// say the path of its role.
pub fn principal(identity: &str) -> String {
    let parts: Vec<&str> = identity.splitn(6, ':').collect();
    if let ["arn", partition, "sts", "", account, resource] = parts.as_slice()
        && let Some(session) = resource.strip_prefix("assumed-role/")
    {
        let role = session.split('/').next().unwrap_or_default();
        return format!("arn:{partition}:iam::{account}:role/{role}");
    }
    identity.to_owned()
}

fn allow(sid: &'static str, actions: &[&str], resources: &[String]) -> Statement {
    let (action, resource) = (one_or_list(actions), Some(one_or_list(resources)));
    Statement { sid, effect: "Allow", principal: None, action, resource, condition: None }
}

/// One alone stands without a list around it, but for zones and roles, of which there may be more.
fn one_or_list<T: AsRef<str> + Serialize>(texts: &[T]) -> Value {
    match texts {
        [one] if !one.as_ref().contains(":::hostedzone/Z") && !one.as_ref().contains(":role/") => {
            json!(one)
        }
        _ => json!(texts),
    }
}

fn of_vpc(vpc: &Vpc) -> Value {
    let text = format!("VPCId={},VPCRegion={}", vpc.id, vpc.region);
    json!({ "ForAllValues:StringEquals": { "route53:VPCs": [text] } })
}

fn find_in_account(settings: &Route53Settings) -> Option<Statement> {
    let by_id = !settings.zones.ids.is_empty();
    (!by_id).then(|| allow("FindZonesOfAccount", &["route53:ListHostedZones"], &["*".to_owned()]))
}

/// Reading zones: those of the ids, or all.
fn read(settings: &Route53Settings) -> Vec<Statement> {
    let by_id = !settings.zones.ids.is_empty();
    // With profiles an id is all that is told of a zone, too.
    let asks_name = settings.profiles || (by_id && settings.zones.vpc.is_none());
    let actions: &[&str] = match asks_name {
        true => &["route53:GetHostedZone", "route53:ListResourceRecordSets"],
        false => &["route53:ListResourceRecordSets"],
    };
    let partition = partition(settings);
    let arn = |id: &str| format!("arn:{partition}:route53:::hostedzone/{id}");
    let zones: Vec<String> = match by_id {
        true => settings.zones.ids.iter().map(|id| arn(id)).collect(),
        false => vec![arn("*")],
    };
    let mut statements = vec![allow(if by_id { "ReadNamedZones" } else { "ReadZones" }, actions, &zones)];
    if !settings.zones.tags.is_empty() {
        statements.push(allow("ReadTagsOfZones", &["route53:ListTagsForResources"], &zones));
    }
    statements
}

/// States of health checks, and what the checks' settings say about them.
fn health(settings: &Route53Settings) -> Vec<Statement> {
    if !settings.health {
        return Vec::new();
    }
    let (any, checks) = ("*".to_owned(), format!("arn:{}:route53:::healthcheck/*", partition(settings)));
    vec![
        allow("ReadStatesOfHealthChecks", &["cloudwatch:GetMetricData"], std::slice::from_ref(&any)),
        allow("ListHealthChecks", &["route53:ListHealthChecks"], &[any]),
        allow("ReadHealthChecks", &["route53:GetHealthCheck"], &[checks]),
    ]
}

/// The URL of a queue ends with its account and its name.
fn queue_arn(settings: &Route53Settings, queue: &HintQueue) -> String {
    let mut parts = queue.url.rsplit('/');
    let (name, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let partition = partition(settings);
    let of_partition = || Partition::from_name(partition).map_or("us-east-1", Partition::signing_region);
    let region = queue.region.as_deref().unwrap_or_else(of_partition);
    format!("arn:{partition}:sqs:{region}:{account}:{name}")
}

/// As ARNs name it.
fn partition(settings: &Route53Settings) -> &str {
    let of_role = || settings.roles.first().and_then(|role| role.arn.split(':').nth(1));
    let of_region = || settings.region.as_deref().map(|region| Partition::of_region(region).name());
    settings.partition.as_deref().or_else(of_region).or_else(of_role).unwrap_or("aws")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_principal_of_a_session_is_its_role() {
        let session = "arn:aws-cn:sts::111122223333:assumed-role/zonelet/pod-7";
        assert_eq!(principal(session), "arn:aws-cn:iam::111122223333:role/zonelet");
        let user = "arn:aws:iam::111122223333:user/ops";
        assert_eq!(principal(user), user);
        assert_eq!(principal("nonsense"), "nonsense");
    }

    #[test]
    fn an_external_id_is_not_in_a_policy() {
        let mut role = Role::new("arn:aws:iam::222233334444:role/zonelet");
        assert!(!trust(&role, "arn:x").text().contains("ExternalId"));
        role.external_id = Some("between-us".into());
        let text = trust(&role, "arn:x").text();
        assert!(text.contains("sts:ExternalId") && !text.contains("between-us"), "{text}");
    }

    #[test]
    fn arns_are_of_the_partition() {
        let china = Route53Settings { region: Some("cn-north-1".into()), ..Route53Settings::default() };
        assert!(own(&china, None).text().contains("arn:aws-cn:route53:::hostedzone/*"));
    }
}
