//! Each field and its string forms; the CVE beside the lines that keep it shut.
use super::*;

#[test]
fn principals() {
    check(
        "{rules: [{from: [{source: {principals: [shop.example/ns/a/sa/a, other.example/ns/p/*, '*/sa/suffix']}}]}]}",
        "GET / as a/a
         GET / as spiffe://other.example/ns/p/sa/x
         GET / as spiffe://any.example/ns/x/sa/suffix
         GET / as spiffe://other.example/ns/a/sa/a
         GET / as shop.example
         GET / as spiffe://
         GET /",
        expect![[r#"
            allow allowed           GET / as a/a  <- pci/p0[0]
            allow allowed           GET / as spiffe://other.example/ns/p/sa/x  <- pci/p0[0]
            allow allowed           GET / as spiffe://any.example/ns/x/sa/suffix  <- pci/p0[0]
            deny  no-rule-matched   GET / as spiffe://other.example/ns/a/sa/a
            deny  no-rule-matched   GET / as shop.example
            deny  no-rule-matched   GET / as spiffe://
            deny  no-rule-matched   GET /
        "#]],
    );
    // `*` is any identity, and no identity is none. CVE-2020-16844: the suffix form on TCP.
    check(
        "{action: DENY, rules: [{from: [{source: {principals: ['*']}}]}]}",
        "GET /\nGET / as a/a\ntcp\ntcp as a/a",
        expect![[r#"
            allow no-policy         GET /
            deny  denied-by-policy  GET / as a/a  <- pci/p0[0]
            allow no-policy         tcp
            deny  denied-by-policy  tcp as a/a  <- pci/p0[0]
        "#]],
    );
    check(
        "{action: DENY, rules: [{from: [{source: {principals: ['*/sa/a']}}]}]}",
        "tcp as a/a\ntcp as a/b\ntcp",
        expect![[r#"
            deny  denied-by-policy  tcp as a/a  <- pci/p0[0]
            allow no-policy         tcp as a/b
            allow no-policy         tcp
        "#]],
    );
    check(
        "{action: DENY, rules: [{from: [{source: {notPrincipals: [shop.example/ns/a/sa/a]}}]}]}",
        "GET / as a/a\nGET / as a/b\nGET /",
        expect![[r#"
            allow no-policy         GET / as a/a
            deny  denied-by-policy  GET / as a/b  <- pci/p0[0]
            deny  denied-by-policy  GET /  <- pci/p0[0]
        "#]],
    );
    check(
        "{action: DENY, rules: [{when: [{key: source.principal, values: [shop.example/ns/a/sa/a]}]}]}",
        "GET / as a/a\nGET / as a/b",
        expect![[r#"
            deny  denied-by-policy  GET / as a/a  <- pci/p0[0]
            allow no-policy         GET / as a/b
        "#]],
    );
}

#[test]
fn trust_domain_aliases() {
    // shop.example has the alias old.example; cluster.local is the mesh's own, whatever its name.
    check(
        "{rules: [{from: [{source: {principals: [cluster.local/ns/a/sa/a, old.example/ns/b/sa/b, other.example/ns/c/sa/c, '*.example/ns/d/sa/d']}}]}]}",
        "GET / as a/a
         GET / as spiffe://old.example/ns/a/sa/a
         GET / as spiffe://cluster.local/ns/a/sa/a
         GET / as b/b
         GET / as spiffe://old.example/ns/b/sa/b
         GET / as spiffe://other.example/ns/c/sa/c
         GET / as c/c
         GET / as spiffe://third.example/ns/d/sa/d
         GET / as spiffe://example/ns/d/sa/d",
        expect![[r#"
            allow allowed           GET / as a/a  <- pci/p0[0]
            allow allowed           GET / as spiffe://old.example/ns/a/sa/a  <- pci/p0[0]
            deny  no-rule-matched   GET / as spiffe://cluster.local/ns/a/sa/a
            allow allowed           GET / as b/b  <- pci/p0[0]
            allow allowed           GET / as spiffe://old.example/ns/b/sa/b  <- pci/p0[0]
            allow allowed           GET / as spiffe://other.example/ns/c/sa/c  <- pci/p0[0]
            deny  no-rule-matched   GET / as c/c
            allow allowed           GET / as spiffe://third.example/ns/d/sa/d  <- pci/p0[0]
            deny  no-rule-matched   GET / as spiffe://example/ns/d/sa/d
        "#]],
    );
    check(
        "{action: DENY, rules: [{from: [{source: {notPrincipals: [shop.example/ns/a/sa/a]}}]}]}",
        "GET / as spiffe://old.example/ns/a/sa/a\nGET / as spiffe://other.example/ns/a/sa/a",
        expect![[r#"
            allow no-policy         GET / as spiffe://old.example/ns/a/sa/a
            deny  denied-by-policy  GET / as spiffe://other.example/ns/a/sa/a  <- pci/p0[0]
        "#]],
    );
    check(
        "{rules: [{from: [{source: {trustDomains: [old.example, 'p*']}}]}]}",
        "GET / as a/a\nGET / as spiffe://old.example/ns/a/sa/a\nGET / as spiffe://partner/x\nGET / as spiffe://other/ns/a/sa/a\nGET /",
        expect![[r#"
            allow allowed           GET / as a/a  <- pci/p0[0]
            allow allowed           GET / as spiffe://old.example/ns/a/sa/a  <- pci/p0[0]
            allow allowed           GET / as spiffe://partner/x  <- pci/p0[0]
            deny  no-rule-matched   GET / as spiffe://other/ns/a/sa/a
            deny  no-rule-matched   GET /
        "#]],
    );
}

#[test]
fn namespaces() {
    // In any trust domain, as Istio has it.
    check(
        "{rules: [{from: [{source: {namespaces: [shop, 'team-*', '*-prod']}}]}]}",
        "GET / as shop/x
         GET / as shop2/x
         GET / as team-a/x
         GET / as a-prod/x
         GET / as prod/x
         GET / as spiffe://partner.example/ns/shop/sa/x
         GET / as spiffe://shop.example/sa/shop
         GET / as spiffe://shop.example/ns/shop
         GET /",
        expect![[r#"
            allow allowed           GET / as shop/x  <- pci/p0[0]
            deny  no-rule-matched   GET / as shop2/x
            allow allowed           GET / as team-a/x  <- pci/p0[0]
            allow allowed           GET / as a-prod/x  <- pci/p0[0]
            deny  no-rule-matched   GET / as prod/x
            allow allowed           GET / as spiffe://partner.example/ns/shop/sa/x  <- pci/p0[0]
            deny  no-rule-matched   GET / as spiffe://shop.example/sa/shop
            deny  no-rule-matched   GET / as spiffe://shop.example/ns/shop
            deny  no-rule-matched   GET /
        "#]],
    );
    check(
        "{rules: [{from: [{source: {namespaces: ['*']}}]}]}",
        "GET / as a/a\nGET / as spiffe://shop.example/x\nGET /",
        expect![[r#"
            allow allowed           GET / as a/a  <- pci/p0[0]
            deny  no-rule-matched   GET / as spiffe://shop.example/x
            deny  no-rule-matched   GET /
        "#]],
    );
    check(
        "{action: DENY, rules: [{when: [{key: source.namespace, notValues: [shop]}]}]}",
        "GET / as shop/a\nGET / as pci/a\nGET /",
        expect![[r#"
            allow no-policy         GET / as shop/a
            deny  denied-by-policy  GET / as pci/a  <- pci/p0[0]
            deny  denied-by-policy  GET /  <- pci/p0[0]
        "#]],
    );
}

// CVE-2026-39350: a dot in a service account is a dot.
#[test]
fn service_accounts() {
    check(
        "{rules: [{from: [{source: {serviceAccounts: [shop/web.v1, local]}}]}]}",
        "GET / as shop/web.v1
         GET / as shop/webxv1
         GET / as shop/web.v1-junk
         GET / as shop/xweb.v1
         GET / as pci/local
         GET / as shop/local
         GET / as spiffe://other.example/ns/shop/sa/web.v1
         GET / as spiffe://shop.example/ns/shop/k/v/sa/web.v1/k/v
         GET / as spiffe://shop.example/ns/shop/sa/web.v1/
         GET /",
        expect![[r#"
            allow allowed           GET / as shop/web.v1  <- pci/p0[0]
            deny  no-rule-matched   GET / as shop/webxv1
            deny  no-rule-matched   GET / as shop/web.v1-junk
            deny  no-rule-matched   GET / as shop/xweb.v1
            allow allowed           GET / as pci/local  <- pci/p0[0]
            deny  no-rule-matched   GET / as shop/local
            allow allowed           GET / as spiffe://other.example/ns/shop/sa/web.v1  <- pci/p0[0]
            allow allowed           GET / as spiffe://shop.example/ns/shop/k/v/sa/web.v1/k/v  <- pci/p0[0]
            deny  no-rule-matched   GET / as spiffe://shop.example/ns/shop/sa/web.v1/
            deny  no-rule-matched   GET /
        "#]],
    );
    check(
        "{action: DENY, rules: [{from: [{source: {notServiceAccounts: [shop/web]}}]}]}",
        "GET / as shop/web\nGET / as shop/x\nGET /",
        expect![[r#"
            allow no-policy         GET / as shop/web
            deny  denied-by-policy  GET / as shop/x  <- pci/p0[0]
            deny  denied-by-policy  GET /  <- pci/p0[0]
        "#]],
    );
}

#[test]
fn addresses() {
    check(
        "{rules: [{from: [{source: {ipBlocks: [10.0.0.0/8, '2001:db8::/32', 192.0.2.7]}}]}]}",
        "GET / from=10.1.2.3
         GET / from=11.1.2.3
         GET / from=::ffff:10.1.2.3
         GET / from=2001:db8::1
         GET / from=2001:db9::1
         GET / from=192.0.2.7
         GET / from=192.0.2.8
         GET / remote=10.1.2.3
         GET /",
        expect![[r#"
            allow allowed           GET / from=10.1.2.3  <- pci/p0[0]
            deny  no-rule-matched   GET / from=11.1.2.3
            allow allowed           GET / from=::ffff:10.1.2.3  <- pci/p0[0]
            allow allowed           GET / from=2001:db8::1  <- pci/p0[0]
            deny  no-rule-matched   GET / from=2001:db9::1
            allow allowed           GET / from=192.0.2.7  <- pci/p0[0]
            deny  no-rule-matched   GET / from=192.0.2.8
            deny  no-rule-matched   GET / remote=10.1.2.3
            deny  no-rule-matched   GET /
        "#]],
    );
    // An address nobody told helps no ALLOW and hinders no DENY, negated or not.
    check(
        "{rules: [{from: [{source: {notIpBlocks: [10.0.0.0/8]}}]}]}",
        "GET / from=11.0.0.1\nGET / from=10.0.0.1\nGET /",
        expect![[r#"
            allow allowed           GET / from=11.0.0.1  <- pci/p0[0]
            deny  no-rule-matched   GET / from=10.0.0.1
            deny  no-rule-matched   GET /
        "#]],
    );
    check(
        "{action: DENY, rules: [{from: [{source: {remoteIpBlocks: [0.0.0.0/0]}}]}]}",
        "GET / remote=1.1.1.1\nGET / remote=::1\nGET /",
        expect![[r#"
            deny  denied-by-policy  GET / remote=1.1.1.1  <- pci/p0[0]
            allow no-policy         GET / remote=::1
            deny  denied-by-policy  GET /  <- pci/p0[0]
        "#]],
    );
    check(
        "{action: DENY, rules: [{from: [{source: {notRemoteIpBlocks: [10.0.0.0/8]}}]}]}",
        "GET / remote=10.0.0.1\nGET / remote=1.1.1.1\nGET /",
        expect![[r#"
            allow no-policy         GET / remote=10.0.0.1
            deny  denied-by-policy  GET / remote=1.1.1.1  <- pci/p0[0]
            deny  denied-by-policy  GET /  <- pci/p0[0]
        "#]],
    );
    check(
        "{rules: [{when: [{key: source.ip, values: ['::ffff:10.0.0.0/104']}, {key: remote.ip, values: [192.0.2.0/24]}]}]}",
        "GET / from=10.0.0.1 remote=192.0.2.1\nGET / from=10.0.0.1 remote=1.1.1.1",
        expect![[r#"
            allow allowed           GET / from=10.0.0.1 remote=192.0.2.1  <- pci/p0[0]
            deny  no-rule-matched   GET / from=10.0.0.1 remote=1.1.1.1
        "#]],
    );
}

// CVE-2021-39155: hosts have no case; a port or a trailing dot does not make another host.
#[test]
fn hosts() {
    check(
        "{action: DENY, rules: [{to: [{operation: {hosts: [Secret.com, '*.internal.example', 'admin.*', '[::1]']}}]}]}",
        "GET / host=secret.com
         GET / host=SECRET.COM
         GET / host=secret.com:8080
         GET / host=secret.com.
         GET / host=secret.com.:8080
         GET / host=a.INTERNAL.example:1
         GET / host=internal.example
         GET / host=admin.example
         GET / host=[::1]:8080
         GET / host=notsecret.com
         GET /",
        expect![[r#"
            deny  denied-by-policy  GET / host=secret.com  <- pci/p0[0]
            deny  denied-by-policy  GET / host=SECRET.COM  <- pci/p0[0]
            deny  denied-by-policy  GET / host=secret.com:8080  <- pci/p0[0]
            deny  denied-by-policy  GET / host=secret.com.  <- pci/p0[0]
            deny  denied-by-policy  GET / host=secret.com.:8080  <- pci/p0[0]
            deny  denied-by-policy  GET / host=a.INTERNAL.example:1  <- pci/p0[0]
            allow no-policy         GET / host=internal.example
            deny  denied-by-policy  GET / host=admin.example  <- pci/p0[0]
            deny  denied-by-policy  GET / host=[::1]:8080  <- pci/p0[0]
            allow no-policy         GET / host=notsecret.com
            allow no-policy         GET /
        "#]],
    );
    check(
        "{rules: [{to: [{operation: {hosts: ['a.com:8443', 'b.com:*', '*.c.com:1']}}]}]}",
        "GET / host=a.com:8443\nGET / host=a.com\nGET / host=a.com:1\nGET / host=b.com:5\nGET / host=b.com\nGET / host=x.c.com:1\nGET / host=x.c.com:2",
        expect![[r#"
            allow allowed           GET / host=a.com:8443  <- pci/p0[0]
            deny  no-rule-matched   GET / host=a.com
            deny  no-rule-matched   GET / host=a.com:1
            allow allowed           GET / host=b.com:5  <- pci/p0[0]
            allow allowed           GET / host=b.com  <- pci/p0[0]
            allow allowed           GET / host=x.c.com:1  <- pci/p0[0]
            deny  no-rule-matched   GET / host=x.c.com:2
        "#]],
    );
    check(
        "{rules: [{to: [{operation: {hosts: ['*'], notHosts: [a.com]}}]}]}",
        "GET / host=b.com\nGET / host=A.com:1\nGET /",
        expect![[r#"
            allow allowed           GET / host=b.com  <- pci/p0[0]
            deny  no-rule-matched   GET / host=A.com:1
            deny  no-rule-matched   GET /
        "#]],
    );
    check(
        "{action: DENY, rules: [{when: [{key: 'request.headers[:authority]', values: [a.com]}]}]}",
        "GET / host=A.com:1\nGET / host=b.com",
        expect![[r#"
            deny  denied-by-policy  GET / host=A.com:1  <- pci/p0[0]
            allow no-policy         GET / host=b.com
        "#]],
    );
}

#[test]
fn ports() {
    check(
        "{rules: [{to: [{operation: {ports: ['80', '443']}}]}]}",
        "GET / port=80\nGET / port=443\nGET / port=8080\ntcp port=80",
        expect![[r#"
            allow allowed           GET / port=80  <- pci/p0[0]
            allow allowed           GET / port=443  <- pci/p0[0]
            deny  no-rule-matched   GET / port=8080
            allow allowed           tcp port=80  <- pci/p0[0]
        "#]],
    );
    check(
        "{rules: [{to: [{operation: {notPorts: ['80']}}]}]}",
        "GET / port=80\nGET / port=81",
        expect![[r#"
        deny  no-rule-matched   GET / port=80
        allow allowed           GET / port=81  <- pci/p0[0]
    "#]],
    );
    check(
        "{rules: [{when: [{key: destination.port, values: ['80']}]}]}",
        "GET / port=80\nGET / port=81",
        expect![[r#"
            allow allowed           GET / port=80  <- pci/p0[0]
            deny  no-rule-matched   GET / port=81
        "#]],
    );
}

#[test]
fn methods() {
    check(
        "{rules: [{to: [{operation: {methods: [GET, 'P*', '*CE']}}]}]}",
        "GET /\nPOST /\nPUT /\nTRACE /\nDELETE /\nget /\npost /",
        expect![[r#"
            allow allowed           GET /  <- pci/p0[0]
            allow allowed           POST /  <- pci/p0[0]
            allow allowed           PUT /  <- pci/p0[0]
            allow allowed           TRACE /  <- pci/p0[0]
            deny  no-rule-matched   DELETE /
            deny  no-rule-matched   get /
            deny  no-rule-matched   post /
        "#]],
    );
    // An application may not mind the case; so what denies does not either.
    check(
        "{action: DENY, rules: [{to: [{operation: {methods: [DELETE, PURGE]}}]}]}",
        "DELETE /\ndelete /\nPurge /\nGET /",
        expect![[r#"
            deny  denied-by-policy  DELETE /  <- pci/p0[0]
            deny  denied-by-policy  delete /  <- pci/p0[0]
            deny  denied-by-policy  Purge /  <- pci/p0[0]
            allow no-policy         GET /
        "#]],
    );
    check(
        "{rules: [{to: [{operation: {notMethods: [DELETE]}}]}]}",
        "GET /\nDELETE /\nDelete /",
        expect![[r#"
        allow allowed           GET /  <- pci/p0[0]
        deny  no-rule-matched   DELETE /
        deny  no-rule-matched   Delete /
    "#]],
    );
    check(
        "{rules: [{to: [{operation: {methods: ['*']}}]}]}",
        "GET /\nBREW /\ntcp",
        expect![[r#"
        allow allowed           GET /  <- pci/p0[0]
        allow allowed           BREW /  <- pci/p0[0]
        deny  no-rule-matched   tcp
    "#]],
    );
}

#[test]
fn paths() {
    check(
        "{rules: [{to: [{operation: {paths: [/a, '/p/*', '*.js', /sp%61ce%20d, /café]}}]}]}",
        "GET /a\nGET /a/\nGET /A\nGET /p/\nGET /p/x/y\nGET /p\nGET /x.js\nGET /space%20d\nGET /caf%c3%a9\nGET /a?q\nGET /a#f",
        expect![[r#"
            allow allowed           GET /a  <- pci/p0[0]
            deny  no-rule-matched   GET /a/
            deny  no-rule-matched   GET /A
            allow allowed           GET /p/  <- pci/p0[0]
            allow allowed           GET /p/x/y  <- pci/p0[0]
            deny  no-rule-matched   GET /p
            allow allowed           GET /x.js  <- pci/p0[0]
            allow allowed           GET /space%20d  <- pci/p0[0]
            allow allowed           GET /caf%c3%a9  <- pci/p0[0]
            allow allowed           GET /a?q  <- pci/p0[0]
            allow allowed           GET /a#f  <- pci/p0[0]
        "#]],
    );
    check(
        "{rules: [{to: [{operation: {paths: ['*'], notPaths: ['/admin*']}}]}]}",
        "GET /\nGET /admin\nGET /adminx\nGET /a/../admin\nOPTIONS *",
        expect![[r#"
            allow allowed           GET /  <- pci/p0[0]
            deny  no-rule-matched   GET /admin
            deny  no-rule-matched   GET /adminx
            deny  no-rule-matched   GET /a/../admin
            allow allowed           OPTIONS *  <- pci/p0[0]
        "#]],
    );
}

// ISTIO-SECURITY advisories on evasion: no spelling of /admin gets past a DENY.
#[test]
fn no_spelling_evades_a_deny() {
    check(
        "{action: DENY, rules: [{to: [{operation: {paths: [/admin, '/admin/*']}}]}]}",
        "GET //admin
         GET /admin?x
         GET /admin#x
         GET /admin;x=1
         GET /%61dmin
         GET /x/../admin
         GET /x/..;/admin
         GET /x/%2e%2e/admin
         GET /%2fadmin
         GET \\admin
         GET /admin%2fusers
         GET /admin%5cusers
         GET /admin/",
        expect![[r#"
            deny  denied-by-policy  GET //admin  <- pci/p0[0]
            deny  denied-by-policy  GET /admin?x  <- pci/p0[0]
            deny  denied-by-policy  GET /admin#x  <- pci/p0[0]
            deny  denied-by-policy  GET /admin;x=1  <- pci/p0[0]
            deny  denied-by-policy  GET /%61dmin  <- pci/p0[0]
            deny  denied-by-policy  GET /x/../admin  <- pci/p0[0]
            deny  denied-by-policy  GET /x/..;/admin  <- pci/p0[0]
            deny  denied-by-policy  GET /x/%2e%2e/admin  <- pci/p0[0]
            deny  denied-by-policy  GET /%2fadmin  <- pci/p0[0]
            deny  denied-by-policy  GET \admin  <- pci/p0[0]
            deny  denied-by-policy  GET /admin%2fusers  <- pci/p0[0]
            deny  denied-by-policy  GET /admin%5cusers  <- pci/p0[0]
            deny  denied-by-policy  GET /admin/  <- pci/p0[0]
        "#]],
    );
    // A DENY whose path no request can have is read as requests are; an ALLOW is not.
    check(
        "{action: DENY, rules: [{to: [{operation: {paths: ['//x', '/y%2Fz', '/w;v']}}]}]}",
        "GET /x\nGET /y/z\nGET /w\nGET /v",
        expect![[r#"
            deny  denied-by-policy  GET /x  <- pci/p0[0]
            deny  denied-by-policy  GET /y/z  <- pci/p0[0]
            deny  denied-by-policy  GET /w  <- pci/p0[0]
            allow no-policy         GET /v
        "#]],
    );
    check(
        "{rules: [{to: [{operation: {paths: ['//x', '/y%2Fz', '/w;v']}}]}]}",
        "GET //x\nGET /y%2Fz\nGET /w;v",
        expect![[r#"
            deny  no-rule-matched   GET //x
            deny  no-rule-matched   GET /y%2Fz
            deny  no-rule-matched   GET /w;v
        "#]],
    );
    check(
        "{rules: [{to: [{operation: {notPaths: ['//x']}}]}]}",
        "GET /x\nGET /y",
        expect![[r#"
        deny  no-rule-matched   GET /x
        allow allowed           GET /y  <- pci/p0[0]
    "#]],
    );
}

#[test]
fn path_templates() {
    // CVE-2025-46821: a `*` in a request is a character, and matches.
    check(
        "{rules: [{to: [{operation: {paths: ['/a/{*}/b', '/t/{**}', '/e/{*}/{**}/end', '/s/{*}']}}]}]}",
        "GET /a/x/b
         GET /a/*/b
         GET /a//b
         GET /a/x/y/b
         GET /a/x/b/
         GET /t/
         GET /t
         GET /t/x/y
         GET /e/1/2/end
         GET /e/1/2/3/end
         GET /e/1/end
         GET /e/1/2/ending
         GET /s/x
         GET /s/
         GET /s/x/
         GET /s/{*}
         OPTIONS *",
        expect![[r#"
            allow allowed           GET /a/x/b  <- pci/p0[0]
            allow allowed           GET /a/*/b  <- pci/p0[0]
            deny  no-rule-matched   GET /a//b
            deny  no-rule-matched   GET /a/x/y/b
            deny  no-rule-matched   GET /a/x/b/
            allow allowed           GET /t/  <- pci/p0[0]
            deny  no-rule-matched   GET /t
            allow allowed           GET /t/x/y  <- pci/p0[0]
            allow allowed           GET /e/1/2/end  <- pci/p0[0]
            allow allowed           GET /e/1/2/3/end  <- pci/p0[0]
            deny  no-rule-matched   GET /e/1/end
            deny  no-rule-matched   GET /e/1/2/ending
            allow allowed           GET /s/x  <- pci/p0[0]
            deny  no-rule-matched   GET /s/
            deny  no-rule-matched   GET /s/x/
            allow allowed           GET /s/{*}  <- pci/p0[0]
            deny  no-rule-matched   OPTIONS *
        "#]],
    );
    check(
        "{rules: [{to: [{operation: {paths: ['/{**}']}}]}]}",
        "GET /\nGET /a/b",
        expect![[r#"
        allow allowed           GET /  <- pci/p0[0]
        allow allowed           GET /a/b  <- pci/p0[0]
    "#]],
    );
}

// CVE-2020-25017, CVE-2021-32777, CVE-2026-26308: repeated headers. CVE-2019-18802: blanks around values.
#[test]
fn headers() {
    // What allows wants every line to say so.
    check(
        "{rules: [{when: [{key: 'request.headers[X-Role]', values: [admin, 'ops-*']}]}]}",
        "GET / header=x-role:admin
         GET / header=X-ROLE:ops-1
         GET / header=x-role:admin_
         GET / header=x-role:Admin
         GET / header=x-role:user
         GET / header=x-role:admin header=x-role:user
         GET / header=x-role:user header=x-role:admin
         GET / header=x-role:admin header=x-role:ops-1
         GET / header=x-role:user,admin
         GET / header=x-role:
         GET /",
        expect![[r#"
            allow allowed           GET / header=x-role:admin  <- pci/p0[0]
            allow allowed           GET / header=X-ROLE:ops-1  <- pci/p0[0]
            allow allowed           GET / header=x-role:admin_  <- pci/p0[0]
            deny  no-rule-matched   GET / header=x-role:Admin
            deny  no-rule-matched   GET / header=x-role:user
            deny  no-rule-matched   GET / header=x-role:admin header=x-role:user
            deny  no-rule-matched   GET / header=x-role:user header=x-role:admin
            allow allowed           GET / header=x-role:admin header=x-role:ops-1  <- pci/p0[0]
            deny  no-rule-matched   GET / header=x-role:user,admin
            deny  no-rule-matched   GET / header=x-role:
            deny  no-rule-matched   GET /
        "#]],
    );
    // What denies is content with one line, or one member of a list.
    check(
        "{action: DENY, rules: [{when: [{key: 'request.headers[x-role]', values: [admin]}]}]}",
        "GET / header=x-role:user header=x-role:admin
         GET / header=x-role:user,_admin
         GET / header=x-role:user
         GET / header=x-role:administrator
         GET /",
        expect![[r#"
            deny  denied-by-policy  GET / header=x-role:user header=x-role:admin  <- pci/p0[0]
            deny  denied-by-policy  GET / header=x-role:user,_admin  <- pci/p0[0]
            allow no-policy         GET / header=x-role:user
            allow no-policy         GET / header=x-role:administrator
            allow no-policy         GET /
        "#]],
    );
    // DENY unless: one line that is something else is enough.
    check(
        "{action: DENY, rules: [{when: [{key: 'request.headers[x-role]', notValues: [admin]}]}]}",
        "GET / header=x-role:admin
         GET / header=x-role:admin header=x-role:user
         GET / header=x-role:admin,user
         GET /",
        expect![[r#"
            allow no-policy         GET / header=x-role:admin
            deny  denied-by-policy  GET / header=x-role:admin header=x-role:user  <- pci/p0[0]
            deny  denied-by-policy  GET / header=x-role:admin,user  <- pci/p0[0]
            deny  denied-by-policy  GET /  <- pci/p0[0]
        "#]],
    );
    check(
        "{rules: [{when: [{key: 'request.headers[x-role]', notValues: [admin]}]}]}",
        "GET / header=x-role:user\nGET / header=x-role:user,admin\nGET / header=x-role:user header=x-role:admin\nGET /",
        expect![[r#"
            allow allowed           GET / header=x-role:user  <- pci/p0[0]
            deny  no-rule-matched   GET / header=x-role:user,admin
            deny  no-rule-matched   GET / header=x-role:user header=x-role:admin
            allow allowed           GET /  <- pci/p0[0]
        "#]],
    );
    // `*` is there, even empty.
    check(
        "{rules: [{when: [{key: 'request.headers[x]', values: ['*']}]}]}",
        "GET / header=x:\nGET / header=x:a\nGET /",
        expect![[r#"
            allow allowed           GET / header=x:  <- pci/p0[0]
            allow allowed           GET / header=x:a  <- pci/p0[0]
            deny  no-rule-matched   GET /
        "#]],
    );
    check(
        "{rules: [{when: [{key: 'request.headers[x]', notValues: ['*']}]}]}",
        "GET / header=x:\nGET /",
        expect![[r#"
            deny  no-rule-matched   GET / header=x:
            allow allowed           GET /  <- pci/p0[0]
        "#]],
    );
}

// CVE-2026-73552: bytes that are no text are still compared.
#[test]
fn headers_that_are_no_text() {
    let set = rules(&[policy("p", "{action: DENY, rules: [{when: [{key: 'request.headers[x]', values: ['bad*']}]}]}")]);
    let mut headers = http::HeaderMap::new();
    headers.insert("x", http::HeaderValue::from_bytes(b"bad\xff\xfe").expect("a header value"));
    assert_eq!(set.decide(&Request::new(&headers)).reason(), Reason::DeniedByPolicy);
}

#[test]
fn tokens() {
    check(
        "{rules: [{from: [{source: {requestPrincipals: ['https://i.example/a/alice', 'https://i.example/b/*', '*/carol']}}]}]}",
        r#"GET / jwt={"iss":"https://i.example/a","sub":"alice"}
           GET / jwt={"iss":"https://i.example","sub":"a/alice"}
           GET / jwt={"iss":"https://i.example/b","sub":"anyone"}
           GET / jwt={"iss":"https://i.example/b","sub":""}
           GET / jwt={"iss":"x","sub":"carol"}
           GET / jwt={"sub":"carol"}
           GET / jwt={"iss":"https://i.example/a"}
           GET /"#,
        expect![[r#"
            allow allowed           GET / jwt={"iss":"https://i.example/a","sub":"alice"}  <- pci/p0[0]
            deny  no-rule-matched   GET / jwt={"iss":"https://i.example","sub":"a/alice"}
            allow allowed           GET / jwt={"iss":"https://i.example/b","sub":"anyone"}  <- pci/p0[0]
            deny  no-rule-matched   GET / jwt={"iss":"https://i.example/b","sub":""}
            allow allowed           GET / jwt={"iss":"x","sub":"carol"}  <- pci/p0[0]
            deny  no-rule-matched   GET / jwt={"sub":"carol"}
            deny  no-rule-matched   GET / jwt={"iss":"https://i.example/a"}
            deny  no-rule-matched   GET /
        "#]],
    );
    check(
        "{rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}",
        "GET / jwt={\"iss\":\"i\",\"sub\":\"s\"}\nGET / jwt={\"iss\":\"\",\"sub\":\"s\"}\nGET / jwt={}\nGET /",
        expect![[r#"
            allow allowed           GET / jwt={"iss":"i","sub":"s"}  <- pci/p0[0]
            deny  no-rule-matched   GET / jwt={"iss":"","sub":"s"}
            deny  no-rule-matched   GET / jwt={}
            deny  no-rule-matched   GET /
        "#]],
    );
    check(
        "{rules: [{from: [{source: {requestPrincipals: ['i*', '*s', plain]}}]}]}",
        "GET / jwt={\"iss\":\"ix\",\"sub\":\"a\"}\nGET / jwt={\"iss\":\"a\",\"sub\":\"bs\"}\nGET / jwt={\"iss\":\"plain\",\"sub\":\"plain\"}",
        expect![[r#"
            allow allowed           GET / jwt={"iss":"ix","sub":"a"}  <- pci/p0[0]
            allow allowed           GET / jwt={"iss":"a","sub":"bs"}  <- pci/p0[0]
            deny  no-rule-matched   GET / jwt={"iss":"plain","sub":"plain"}
        "#]],
    );
}

#[test]
fn claims() {
    check(
        "{rules: [{when: [{key: 'request.auth.claims[roles]', values: [admin]}]}]}
         {rules: [{when: [{key: 'request.auth.claims[org][team]', values: [red]}]}]}
         {rules: [{when: [{key: 'request.auth.claims[scope]', values: [write]}]}]}
         {rules: [{when: [{key: request.auth.audiences, values: [shop]}]}]}
         {rules: [{when: [{key: request.auth.presenter, values: ['app-*']}]}]}
         {rules: [{when: [{key: 'request.auth.claims[level]', values: ['1', 'true']}]}]}",
        r#"GET / jwt={"roles":"admin"}
           GET / jwt={"roles":["user","admin"]}
           GET / jwt={"roles":"user\u0020admin"}
           GET / jwt={"roles":[["admin"]]}
           GET / jwt={"org":{"team":"red"}}
           GET / jwt={"org":{"team":["blue","red"]}}
           GET / jwt={"org":"red"}
           GET / jwt={"scope":"read\u0020write"}
           GET / jwt={"scope":"rewrite"}
           GET / jwt={"aud":["a","shop"]}
           GET / jwt={"azp":"app-1"}
           GET / jwt={"level":1}
           GET / jwt={"level":true}
           GET /"#,
        expect![[r#"
            allow allowed           GET / jwt={"roles":"admin"}  <- pci/p0[0]
            allow allowed           GET / jwt={"roles":["user","admin"]}  <- pci/p0[0]
            deny  no-rule-matched   GET / jwt={"roles":"user\u0020admin"}
            deny  no-rule-matched   GET / jwt={"roles":[["admin"]]}
            allow allowed           GET / jwt={"org":{"team":"red"}}  <- pci/p1[0]
            allow allowed           GET / jwt={"org":{"team":["blue","red"]}}  <- pci/p1[0]
            deny  no-rule-matched   GET / jwt={"org":"red"}
            allow allowed           GET / jwt={"scope":"read\u0020write"}  <- pci/p2[0]
            deny  no-rule-matched   GET / jwt={"scope":"rewrite"}
            allow allowed           GET / jwt={"aud":["a","shop"]}  <- pci/p3[0]
            allow allowed           GET / jwt={"azp":"app-1"}  <- pci/p4[0]
            deny  no-rule-matched   GET / jwt={"level":1}
            deny  no-rule-matched   GET / jwt={"level":true}
            deny  no-rule-matched   GET /
        "#]],
    );
    // A claim that is missing is none of the values: with no token at all too.
    check(
        "{rules: [{when: [{key: 'request.auth.claims[roles]', notValues: [guest]}]}]}",
        "GET /\nGET / jwt={\"roles\":[\"guest\",\"admin\"]}\nGET / jwt={\"roles\":\"admin\"}",
        expect![[r#"
            allow allowed           GET /  <- pci/p0[0]
            deny  no-rule-matched   GET / jwt={"roles":["guest","admin"]}
            allow allowed           GET / jwt={"roles":"admin"}  <- pci/p0[0]
        "#]],
    );
}

#[test]
fn server_name() {
    check(
        "{rules: [{when: [{key: connection.sni, values: [a.example, '*.b.example']}]}]}",
        "tcp sni=a.example\ntcp sni=A.EXAMPLE\ntcp sni=x.b.example\ntcp sni=b.example\ntcp\nGET / sni=a.example",
        expect![[r#"
            allow allowed           tcp sni=a.example  <- pci/p0[0]
            allow allowed           tcp sni=A.EXAMPLE  <- pci/p0[0]
            allow allowed           tcp sni=x.b.example  <- pci/p0[0]
            deny  no-rule-matched   tcp sni=b.example
            deny  no-rule-matched   tcp
            allow allowed           GET / sni=a.example  <- pci/p0[0]
        "#]],
    );
    check(
        "{action: DENY, rules: [{when: [{key: connection.sni, notValues: ['*']}]}]}",
        "tcp\ntcp sni=a",
        expect![[r#"
            deny  denied-by-policy  tcp  <- pci/p0[0]
            allow no-policy         tcp sni=a
        "#]],
    );
}
