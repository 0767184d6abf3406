//! What clients are answered, over UDP and TCP: zones, cache and upstream as one.

mod aliases;
mod chains;
mod choices;
mod deferred;
mod external_dns;
mod protocol;
mod truncation;
mod zones;

/// A zone with one of everything.
pub const CORP: &str = "\
$ORIGIN corp.internal.
$TTL 300
@ 900 SOA ns-0.awsdns-00.com. hostmaster.awsdns-00.com. 1 7200 900 1209600 86400
@ NS ns-0.awsdns-00.com.
@ MX 10 mail
www CNAME db
db 60 A 10.0.0.1
db 60 A 10.0.0.2
db 60 A 10.0.0.3
*.apps A 10.0.1.1
host.apps A 10.0.1.2
a.b.ent A 10.0.2.1
child NS ns.child
ns.child A 10.0.3.1
glued A 10.0.3.2
over CNAME api.db.internal.
out CNAME www.example.test.
gone CNAME nowhere
void CNAME nothing.example.test.
loop1 CNAME loop2
loop2 CNAME loop1
";

/// Another zone beside it.
pub const DB: &str = "\
$ORIGIN db.internal.
$TTL 120
@ 900 SOA ns-0.awsdns-00.com. hostmaster.awsdns-00.com. 1 7200 900 1209600 20
@ NS ns-0.awsdns-00.com.
api A 10.1.0.1
back CNAME db.corp.internal.
";
