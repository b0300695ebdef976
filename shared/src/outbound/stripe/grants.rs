//! What each function may ask of Stripe: the grants of its restricted key.
//!
//! Invariant: this is the one table. The keys of the local stack are made from it and the simulator enforces them; `tandem
//! connect` tries real keys against it; README's table is compared with it by a test.

use http::Method;

use crate::domain::ids::Function;

/// What a restricted key may do with one kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// GET.
    Read,
    /// GET and POST.
    Write,
}

/// A kind of object that permissions are given for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// Checkout Sessions.
    CheckoutSessions,
    /// PaymentIntents.
    PaymentIntents,
    /// Charges; the dashboard gives them together with refunds.
    Charges,
    /// Refunds.
    Refunds,
    /// Customers.
    Customers,
    /// PaymentMethods.
    PaymentMethods,
    /// Disputes.
    Disputes,
    /// Events.
    Events,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::CheckoutSessions,
        Self::PaymentIntents,
        Self::Charges,
        Self::Refunds,
        Self::Customers,
        Self::PaymentMethods,
        Self::Disputes,
        Self::Events,
    ];

    /// The list of the API, `/v1/refunds`.
    pub const fn path(self) -> &'static str {
        match self {
            Self::CheckoutSessions => "/v1/checkout/sessions",
            Self::PaymentIntents => "/v1/payment_intents",
            Self::Charges => "/v1/charges",
            Self::Refunds => "/v1/refunds",
            Self::Customers => "/v1/customers",
            Self::PaymentMethods => "/v1/payment_methods",
            Self::Disputes => "/v1/disputes",
            Self::Events => "/v1/events",
        }
    }

    /// The word of the API, `checkout_sessions`.
    pub fn name(self) -> String {
        self.path().trim_start_matches("/v1/").replace('/', "_")
    }

    /// The row of the dashboard's list of permissions.
    pub const fn title(self) -> &'static str {
        match self {
            Self::CheckoutSessions => "Checkout Sessions",
            Self::PaymentIntents => "PaymentIntents",
            Self::Charges | Self::Refunds => "Charges and Refunds",
            Self::Customers => "Customers",
            Self::PaymentMethods => "PaymentMethods",
            Self::Disputes => "Disputes",
            Self::Events => "Events",
        }
    }
}

/// What the key of a function is given; everything else is none. Empty: the function has no key.
pub const fn grants(function: Function) -> &'static [(Resource, Access)] {
    use Access::{Read, Write};
    use Resource::{
        Charges, CheckoutSessions, Customers, Disputes, Events, PaymentIntents, PaymentMethods, Refunds,
    };
    match function {
        Function::PaymentPage => {
            &[(CheckoutSessions, Write), (PaymentIntents, Write), (Charges, Read), (Refunds, Read)]
        }
        Function::PaymentCreator => &[
            (CheckoutSessions, Write),
            (PaymentIntents, Write),
            (Charges, Read),
            (Refunds, Read),
            (Customers, Write),
            (PaymentMethods, Read),
        ],
        Function::PaymentRecorder => &[
            (CheckoutSessions, Read),
            (PaymentIntents, Write),
            (Charges, Read),
            (Refunds, Read),
            (Disputes, Read),
        ],
        Function::RefundProcessor => {
            &[(PaymentIntents, Read), (Charges, Read), (Refunds, Write), (Disputes, Read)]
        }
        Function::FailureHandler => &[(PaymentIntents, Write), (Charges, Read), (Refunds, Read)],
        Function::Sweeper => &[(Events, Read)],
        Function::Reconciler => &[(Charges, Read), (Refunds, Read)],
        Function::WebhookReceiver | Function::OrderUpdater | Function::Notifier | Function::Cli => &[],
    }
}

/// What a function may do with one kind of object.
pub fn granted(function: Function, resource: Resource) -> Option<Access> {
    grants(function).iter().find(|(r, _)| *r == resource).map(|(_, access)| *access)
}

/// What a key wants that was refused this request, in the dashboard's words. Stripe's own words quote the key.
pub(super) fn wanting(method: &Method, path: &str) -> Option<String> {
    let resource = Resource::ALL.into_iter().find(|resource| path.starts_with(resource.path()))?;
    let access = if method == Method::GET { Access::Read } else { Access::Write };
    Some(format!("the key needs {}: {access:?}; edit it in Stripe's dashboard", resource.title()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CALLS_STRIPE;

    #[test]
    fn whoever_calls_stripe_has_grants_and_nobody_else() {
        for function in CALLS_STRIPE {
            assert!(!grants(function).is_empty(), "{function}");
        }
        for function in [Function::WebhookReceiver, Function::OrderUpdater, Function::Notifier, Function::Cli]
        {
            assert!(grants(function).is_empty(), "{function}");
        }
    }

    #[test]
    fn the_readme_s_table_of_keys_is_this_one() {
        let readme = include_str!("../../../../README.md");
        let cells = |line: &str| line.split('|').map(|c| c.trim().to_owned()).collect::<Vec<_>>();
        let mut lines = readme.lines().skip_while(|l| !l.starts_with("| key (name of the secret)"));
        let heads = cells(lines.next().unwrap());
        let mut rows = 0;
        for line in lines.skip(1).take_while(|l| l.starts_with('|')) {
            let row = cells(line);
            let function = CALLS_STRIPE.into_iter().find(|f| row[1] == format!("`stripe-key-{f}`")).unwrap();
            for (head, cell) in heads.iter().zip(&row).skip(2).filter(|(head, _)| !head.is_empty()) {
                let of = Resource::ALL.into_iter().filter(|r| r.title() == head);
                let most = of.filter_map(|r| granted(function, r)).max();
                let words = most.map_or("-".to_owned(), |access| format!("{access:?}"));
                assert_eq!(*cell, words, "{function}, {head}");
            }
            rows += 1;
        }
        assert_eq!((rows, heads.len()), (CALLS_STRIPE.len(), 10));
    }
}
