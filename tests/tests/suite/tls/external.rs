//! Logins by certificate, and those that need none.

use leveret_tests::login::plain;

use super::*;

const OFFER: &str = "auth_mechanisms.1 = PLAIN\nauth_mechanisms.2 = EXTERNAL\n";

fn by(mechanism: &str) -> Login {
    Login { mechanism: mechanism.to_owned(), response: Vec::new(), ..Login::default() }
}

fn refused(outcome: std::io::Result<(Client, String)>, mechanism: &str) {
    let error = outcome.err().map(|error| error.to_string()).unwrap_or_default();
    let text = format!(
        "403 \\\"ACCESS_REFUSED - Login was refused using authentication mechanism {mechanism}. For details see the broker logfile.\\\""
    )
    .replace('\\', "");
    assert!(error.contains(&text), "{error}");
}

#[test]
fn the_name_in_the_certificate_logs_in() {
    let san = |name: &str| {
        format!("ssl_cert_login_from = subject_alternative_name\nssl_cert_login_san_type = {name}\n")
    };
    let cases = [
        ("CN=orders,O=Acme", String::new()),
        ("orders", "ssl_cert_login_from = common_name\n".to_owned()),
        ("orders.example", san("dns")),
        ("10.1.2.3", san("ip")),
        ("10.1.2.3", san("ip") + "ssl_cert_login_san_index = 0\n"),
    ];
    for (user, settings) in cases {
        let house = House::start(&format!("{OFFER}{settings}default_user = {user}\n"));
        let names = &["orders.example", "10.1.2.3"];
        let identity = house.authority.issue(&Request::client("orders").named(names));
        let trust = house.trust().showing(&identity);
        let (mut client, offered) = login(house.amqps, &trust, &by("EXTERNAL")).expect("logged in");
        assert_eq!(offered, "PLAIN EXTERNAL");
        declares(&mut client);
        // Another certificate of the same authority is another user, who is not known.
        refused(login(house.amqps, &house.good(), &by("EXTERNAL")), "EXTERNAL");
        house.logged("EXTERNAL login refused: ", 1);
        // No certificate, no name.
        refused(login(house.amqps, &house.trust(), &by("EXTERNAL")), "EXTERNAL");
        house.logged("EXTERNAL login refused: connection peer presented no TLS (x.509) certificate", 1);
        // What the client claims does not count.
        let claim = Login { response: user.as_bytes().to_vec(), ..by("EXTERNAL") };
        refused(login(house.amqps, &house.good(), &claim), "EXTERNAL");
    }
}

#[test]
fn external_needs_to_be_offered_and_tls() {
    let house = House::start("default_user = CN=good,O=Acme\n");
    let (_, offered) = login(house.amqps, &house.trust(), &guest("CN=good,O=Acme")).expect("by password");
    assert_eq!(offered, "PLAIN AMQPLAIN ANONYMOUS");
    assert!(login(house.amqps, &house.good(), &by("EXTERNAL")).is_err(), "it is not offered");
    house.logged("invalid authentication mechanism 'EXTERNAL'", 1);

    let house = House::start(&format!("{OFFER}default_user = CN=good,O=Acme\n"));
    assert!(Client::login_with(house.broker.amqp(), &by("EXTERNAL")).is_err(), "there is no TLS");
    house.logged("invalid authentication mechanism 'EXTERNAL'", 1);
}

/// With verify_none nobody is asked for a certificate, so nobody has a name.
#[test]
fn external_gets_nobody_in_where_nothing_is_verified() {
    let house =
        House::start(&format!("{OFFER}ssl_options.verify = verify_none\ndefault_user = CN=good,O=Acme\n"));
    refused(login(house.amqps, &house.good(), &by("EXTERNAL")), "EXTERNAL");
}

fn guest(user: &str) -> Login {
    Login { response: plain(user, "guest"), ..Login::default() }
}

#[test]
fn anonymous_is_the_user_that_is_set() {
    let house = House::start("");
    for address in [house.broker.amqp(), house.amqps] {
        let mut client = if address == house.amqps {
            login(address, &house.trust(), &by("ANONYMOUS")).expect("logged in").0
        } else {
            let mut client = Client::login_with(address, &by("ANONYMOUS")).expect("logged in");
            client.open_channel(1).expect("a channel");
            client
        };
        declares(&mut client);
    }
    let house = House::start("anonymous_login_user = none\n");
    assert!(login(house.amqps, &house.trust(), &by("ANONYMOUS")).is_err());
    house.logged("invalid authentication mechanism 'ANONYMOUS'", 1);
    let house = House::start("anonymous_login_pass = other\n");
    refused(login(house.amqps, &house.trust(), &by("ANONYMOUS")), "ANONYMOUS");
    house.logged("ANONYMOUS login refused: user 'guest' - invalid credentials", 1);
}
