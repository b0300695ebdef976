//! The shipped configuration is right; wrong ones are refused with every mistake, its place and its cure.

use super::*;

fn none(_: &str) -> Option<String> {
    None
}

fn mistakes(text: &str) -> Vec<ConfigError> {
    Config::parse(text, &none).unwrap_err().0
}

fn with<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
}

#[test]
fn the_configuration_of_this_build_is_right() {
    let wrong = Config::parse(TANDEM_TOML, &none).err().map(|errors| errors.to_string());
    assert_eq!(wrong, None);
}

#[test]
fn the_shipped_configuration_is_valid_and_spells_out_the_defaults() {
    let config = Config::parse(SHIPPED_TOML, &none).unwrap();
    assert_eq!(config.stack, "demo");
    assert_eq!(config.secrets, SecretStore::Ssm { prefix: "/tandem/demo/".into() });
    assert_eq!(config.sweeper, SweeperLimits::default());
    let defaults = Policy::default();
    assert_eq!(config.policy.retry, defaults.retry);
    assert_eq!(config.policy.capture, defaults.capture);
    assert_eq!(config.policy.page, defaults.page);
    assert_eq!(config.policy.limits, defaults.limits);
    assert_eq!(config.policy.refund.auto_up_to["EUR"], 50_000);
    assert!(config.test_only());
    let shop = config.shop("shop").unwrap();
    assert_eq!(
        config.stripe(&shop.stripe).unwrap().api_key_name(Function::Sweeper),
        Some("stripe-key-sweeper")
    );
}

#[test]
fn every_written_key_is_commented() {
    let lines: Vec<&str> = SHIPPED_TOML.lines().collect();
    let mut commented = false;
    for line in lines {
        if line.starts_with('#') {
            commented = true;
        } else if line.is_empty() {
            commented = false;
        } else if line.contains('=') {
            // The functions' keys share the words above the first of them.
            let explained_before = line.starts_with("kind")
                || line.starts_with("card_tries_30")
                || line.contains("= \"stripe-key-");
            assert!(commented || explained_before, "no comment above: {line}");
            commented = false;
        }
    }
}

#[test]
fn the_smallest_configuration_takes_every_default() {
    let config = Config::parse(
        "[stack]\nname = \"s\"\n[sources.s]\nkind = \"stripe\"\naccount = \"acct_1\"\nwebhook_secrets = [\"w\"]\napi_keys = { default = \"k\" }\n",
        &none,
    )
    .unwrap();
    assert_eq!(config.policy, Policy::default());
    assert_eq!(config.notices, None);
    assert_eq!(config.stripe("s").unwrap().base_url, "https://api.stripe.com");
}

#[test]
fn all_mistakes_are_listed_at_once_with_line_and_cure() {
    let text = r#"[stack]
name = "Prod Stack"
[sources.stripe]
kind = "stripe"
account = "12345"
webhook_secrets = ["whsec_dGhpcyBpcyBhIHNlY3JldA"]
api_keys = { default = "k", refunds = "r" }
[sources.shop]
kind = "checkout"
base_url = "https://10.0.0.1"
stripe = "strype"
api_key = "k"
webhook_secrets = []
[policy.retry]
sofd = ["1d"]
give_up_after = 21
technical = ["5 minutes"]
[policy.refund]
auto_up_to = { eur = 5 }
requested = "always"
[policy.page]
session_ttl = "3d"
"#;
    let found = mistakes(text);
    let at = |key: &str| {
        found.iter().find(|e| e.key == key).unwrap_or_else(|| panic!("{key} not among {found:#?}"))
    };
    assert_eq!(at("stack.name").place, Place::Line(2));
    assert_eq!(at("sources.stripe.account").place, Place::Line(5));
    assert!(at("sources.stripe.webhook_secrets").instead.contains("secrets put"));
    assert_eq!(at("sources.stripe.api_keys.refunds").place, Place::Line(7));
    assert_eq!(at("sources.shop.base_url").place, Place::Line(10));
    assert!(at("sources.shop.stripe").instead.contains("\"stripe\""));
    assert_eq!(at("sources.shop.webhook_secrets").place, Place::Line(13));
    assert_eq!(at("policy.retry.sofd").instead, "did you mean \"soft\"?");
    assert_eq!(at("policy.retry.give_up_after").place, Place::Line(16));
    assert!(at("policy.retry.technical").instead.contains("\"30m\""));
    assert!(at("policy.refund.auto_up_to.eur").instead.contains("upper case"));
    assert!(at("policy.refund.requested").instead.contains("\"ask\""));
    assert!(at("policy.page.session_ttl").instead.contains("\"1d\""));
    assert_eq!(found.len(), 13, "{found:#?}");
    let shown = ConfigErrors(found).to_string();
    assert!(shown.contains("tandem.toml line 5: sources.stripe.account"));
    assert!(!shown.contains("dGhpcyBpcyBh"), "a secret written by mistake must not be printed");
}

#[test]
fn a_stack_s_parameters_replace_values_under_the_same_rules() {
    let live = [
        ("TANDEM_STACK", "prod"),
        ("TANDEM_PUBLIC_URL", "https://pay.example.com"),
        ("TANDEM_SINCE", "2026-11-21T00:00:00Z"),
        ("TANDEM_SECRETS", "secretsmanager:tandem/prod/"),
        ("TANDEM_STRIPE_LIVEMODE", "true"),
        ("TANDEM_STRIPE_ACCOUNT", "acct_1Live"),
        ("TANDEM_SHOP_BASE_URL", "https://api.shop.example"),
        ("TANDEM_NOTICES_URL", ""),
        ("TANDEM_ORDERS_TABLE", "orders"),
        ("TANDEM_QUEUE_ORDER_UPDATES_URL", "https://sqs.eu-central-1.amazonaws.com/1/order-updates"),
    ];
    let config = Config::parse(SHIPPED_TOML, &with(&live)).unwrap();
    assert_eq!(config.stack, "prod");
    assert_eq!(config.since, Some(UnixTime(1_795_219_200)));
    assert_eq!(config.secrets, SecretStore::SecretsManager { prefix: "tandem/prod/".into() });
    assert!(config.stripe("stripe").unwrap().livemode);
    assert_eq!(config.resources.orders_table, "orders");
    assert!(config.resources.queue_url(crate::queue::Queue::OrderUpdates).is_ok());
    let missing = config.resources.queue_url(crate::queue::Queue::Orders).unwrap_err();
    assert_eq!(missing.place, Place::Variable("TANDEM_QUEUE_ORDERS_URL".into()));

    let bad = [("TANDEM_STRIPE_LIVEMODE", "yes"), ("TANDEM_SECRETS", "vault:x"), ("TANDEM_SINCE", "soon")];
    let errors = Config::parse(SHIPPED_TOML, &with(&bad)).unwrap_err().0;
    assert_eq!(errors.len(), 3, "{errors:#?}");
    assert!(errors.iter().all(|e| matches!(e.place, Place::Variable(_))));
    let slash = [("TANDEM_SECRETS", "secretsmanager:/tandem/prod/")];
    let errors = Config::parse(SHIPPED_TOML, &with(&slash)).unwrap_err().0;
    assert!(errors[0].instead.contains("secretsmanager:tandem/"), "{errors:#?}");
}

#[test]
fn loopback_is_accepted_in_test_mode_and_refused_beside_live_money() {
    let local = [
        ("TANDEM_STRIPE_BASE_URL", "http://127.0.0.1:12111"),
        ("TANDEM_SHOP_BASE_URL", "http://127.0.0.1:12112"),
        ("TANDEM_NOTICES_URL", "http://127.0.0.1:12112/notices"),
        ("TANDEM_PUBLIC_URL", "http://127.0.0.1:12113"),
    ];
    assert!(Config::parse(SHIPPED_TOML, &with(&local)).is_ok());
    for pair in local {
        let live = [("TANDEM_STRIPE_LIVEMODE", "true"), pair];
        let errors = Config::parse(SHIPPED_TOML, &with(&live)).unwrap_err().0;
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert_eq!(errors[0].place, Place::Variable(pair.0.into()));
    }
}

#[test]
fn broken_toml_names_its_line() {
    let found = mistakes("[stack]\nname = \"a\nx = 1\n");
    assert!(found.iter().any(|e| e.key == "syntax" && e.place == Place::Line(2)), "{found:#?}");
}

#[test]
fn the_policy_s_hash_moves_with_the_policy_and_with_nothing_else() {
    let config = Config::parse(SHIPPED_TOML, &none).unwrap();
    assert_eq!(config.policy_hash.len(), 16);
    let renamed = Config::parse(SHIPPED_TOML, &with(&[("TANDEM_STACK", "other")])).unwrap();
    assert_eq!(renamed.policy_hash, config.policy_hash);
    let longer = SHIPPED_TOML.replace("give_up_after = \"21d\"", "give_up_after = \"22d\"");
    assert_ne!(Config::parse(&longer, &none).unwrap().policy_hash, config.policy_hash);
}
