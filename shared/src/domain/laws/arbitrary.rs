//! Arbitrary facts: every kind, about few objects, so that they meet and contradict each other. Amounts are also negative,
//! absurd, or of another currency; words are also such that no build knows.

use crate::domain::fact::{
    CaseKind, ChargeView, Decision, DisputeView, EffectResult, Fact, IntentView, OrderView, Origin,
    RefundView, SessionView, Terms, What,
};
use crate::domain::money::Currency;
use crate::domain::order::{
    CaptureMode, Collection, OrderStatus, PaymentEcho, RefundRequest, ReportedRefund,
};
use crate::domain::policy::decline::{Decline, DeclineClass};
use crate::domain::time::UnixTime;

/// What one arbitrary fact is made of.
pub(crate) type Seed = [u8; 8];

/// Reads a seed byte by byte.
struct Bytes {
    seed: Seed,
    at: usize,
}

impl Bytes {
    fn next(&mut self) -> usize {
        let byte = usize::from(self.seed[self.at % self.seed.len()]) + self.at / self.seed.len();
        self.at += 1;
        byte
    }

    fn number(&mut self, below: u64) -> u64 {
        u64::try_from(self.next()).unwrap() % below
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let n = self.next();
        from[n % from.len()].clone()
    }

    fn bit(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }

    fn some<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (!self.next().is_multiple_of(3)).then(|| make(self))
    }

    fn word(&mut self, from: &[&str]) -> String {
        self.pick(from).to_owned()
    }

    /// `ch_1` and the like.
    fn id(&mut self, kind: &str) -> String {
        format!("{kind}_{}", self.next() % 3 + 1)
    }

    fn attempt(&mut self) -> u32 {
        self.pick(&[1, 1, 2, 3, 0, u32::MAX])
    }

    fn amount(&mut self) -> i64 {
        self.pick(&[1000, 1000, 1000, 500, 300, 0, 1, 1500, 700, -1, -1000, 99_999_999, i64::MAX, i64::MIN])
    }

    fn currency(&mut self) -> Currency {
        Currency::parse(self.pick(&["EUR", "EUR", "EUR", "EUR", "JPY", "ISK", "KWD"])).unwrap()
    }

    fn time(&mut self) -> UnixTime {
        UnixTime(1_700_000_000 + i64::try_from(self.next()).unwrap() * 3_600)
    }

    fn decline(&mut self) -> Decline {
        Decline {
            code: self.word(&["card_declined", "authentication_required", "processing_error"]),
            decline_code: self.some(|b| b.word(&["insufficient_funds", "lost_card", "tomorrows_word"])),
            advice_code: self.some(|b| b.word(&["do_not_try_again", "try_again_later"])),
            network_advice_code: self.some(|b| b.word(&["03", "21", "02"])),
            blocked: self.bit(),
        }
    }

    fn result(&mut self) -> EffectResult {
        let object = self.pick(&["cs", "pi", "re"]);
        match self.next() % 4 {
            0 | 1 => EffectResult::Done { object: self.id(object) },
            2 => EffectResult::Refused { code: "odd".into(), decline: self.some(Self::decline) },
            _ => EffectResult::Rolled,
        }
    }

    fn order(&mut self) -> OrderView {
        let status = self.pick(&[
            OrderStatus::Open,
            OrderStatus::Open,
            OrderStatus::Open,
            OrderStatus::OnHold,
            OrderStatus::Cancelled,
            OrderStatus::Fulfilled,
            OrderStatus::Other("odd".into()),
        ]);
        OrderView {
            number: "A-1".into(),
            status,
            currency: self.currency(),
            total: self.amount().max(0),
            customer: self.some(|b| b.id("buyer")),
            collection: self.pick(&[Collection::Page, Collection::Automatic, Collection::None]),
            capture: self.pick(&[CaptureMode::AtOnce, CaptureMode::OnFulfilment]),
            deposit: self.some(Self::amount),
            balance_due_at: self.some(Self::time),
            paid: self.some(Self::amount),
            refund_requests: self
                .some(|b| RefundRequest {
                    id: b.id("r"),
                    amount: b.some(Self::amount),
                    reason: String::new(),
                })
                .into_iter()
                .collect(),
            refunds: self
                .some(|b| ReportedRefund { id: b.id("x"), amount: b.amount(), request: None })
                .into_iter()
                .collect(),
            items_hash: self.word(&["h", "i"]),
            echo: self.some(|b| PaymentEcho { version: b.number(9), status: b.word(&["paid", "odd"]) }),
            version: self.number(9),
        }
    }

    fn session(&mut self) -> SessionView {
        SessionView {
            id: self.id("cs"),
            attempt: self.attempt(),
            status: self.word(&["open", "complete", "expired", "tomorrows_word"]),
            payment_status: self.word(&["unpaid", "paid", "no_payment_required"]),
            intent: self.some(|b| b.id("pi")),
            url: self.some(|_| "https://pay.test/c".into()),
            expires_at: self.time(),
        }
    }

    fn intent(&mut self) -> IntentView {
        IntentView {
            id: self.id("pi"),
            attempt: self.attempt(),
            status: self.word(&[
                "succeeded",
                "processing",
                "requires_capture",
                "canceled",
                "requires_payment_method",
                "requires_action",
                "requires_confirmation",
                "tomorrows_word",
            ]),
            amount: self.amount(),
            amount_capturable: self.amount(),
            amount_received: self.amount(),
            currency: self.currency(),
            latest_charge: self.some(|b| b.id("ch")),
            cancellation_reason: None,
            decline: self.some(Self::decline),
            review: None,
        }
    }

    fn charge(&mut self) -> ChargeView {
        ChargeView {
            id: self.id("ch"),
            intent: self.id("pi"),
            status: self.word(&["succeeded", "succeeded", "pending", "failed", "tomorrows_word"]),
            amount: self.amount(),
            amount_captured: self.amount(),
            amount_refunded: self.amount(),
            currency: self.currency(),
            captured: self.bit(),
            disputed: self.bit(),
            capture_before: self.some(Self::time),
            fingerprint: self.some(|b| b.id("fp")),
            decline: self.some(Self::decline),
            created: self.time(),
        }
    }

    fn refund(&mut self) -> RefundView {
        RefundView {
            id: self.id("re"),
            charge: self.id("ch"),
            amount: self.amount(),
            currency: self.currency(),
            status: self.word(&["pending", "requires_action", "succeeded", "failed", "canceled", "odd"]),
            request: self.some(Self::request),
            reason: self.some(|b| b.word(&["expired_uncaptured_charge", "duplicate"])),
            failure_reason: None,
        }
    }

    fn dispute(&mut self) -> DisputeView {
        DisputeView {
            id: self.id("dp"),
            charge: self.id("ch"),
            amount: self.amount(),
            currency: self.currency(),
            status: self.word(&["needs_response", "won", "lost", "warning_closed", "prevented", "odd"]),
            reason: "fraudulent".into(),
            due_by: self.some(Self::time),
        }
    }

    fn request(&mut self) -> String {
        self.word(&["shop:r_1", "shop:r_2", "op:1", "excess:ch_1:500", "cancel:ch_1", "reported:x_1"])
    }

    fn effect(&mut self) -> String {
        match self.next() % 10 {
            0 => format!("session:{}", self.attempt()),
            1 => format!("intent:{}", self.attempt()),
            2 => format!("confirm:{}:{}", self.attempt(), self.next() % 4),
            3 => format!("expire:{}", self.id("cs")),
            4 => format!("cancel:{}", self.id("pi")),
            5 => format!("capture:{}", self.id("pi")),
            6 => format!("refund:{}", self.request()),
            7 => "customer".into(),
            8 => "tell".into(),
            _ => "tomorrows_effect:1".into(),
        }
    }

    fn terms(&mut self) -> Terms {
        let attempt = self.pick(&[1, 2, 3]);
        let fingerprint = self.word(&["f", "g"]);
        match self.next() % 9 {
            0 | 1 => Terms::CreateSession {
                attempt,
                amount: self.amount(),
                currency: self.currency(),
                fingerprint,
            },
            2 => Terms::CreateIntent {
                attempt,
                amount: self.amount(),
                currency: self.currency(),
                fingerprint,
                method: self.id("pm"),
                card: self.some(|b| b.id("fp")),
            },
            3 => {
                let try_no = self.pick(&[1, 2, 3]);
                Terms::Confirm { attempt, try_no, intent: self.id("pi"), method: self.id("pm") }
            }
            4 => Terms::CancelIntent { attempt, intent: self.id("pi") },
            5 => Terms::ExpireSession { attempt, session: self.id("cs") },
            6 => Terms::Capture { attempt, intent: self.id("pi"), amount_stripe: self.amount() },
            7 => {
                let request = self.request();
                Terms::Refund { request, charge: self.id("ch"), amount_stripe: self.amount() }
            }
            _ => Terms::Tell { version: self.number(40) },
        }
    }

    fn case(&mut self) -> String {
        let refund = ["refund:shop:r_1", "refund:op:1", "refused:1"];
        self.word(&[&refund[..], &["limit", "contradiction:pi_1", "twin:op:1:re_1", "dispute:dp_1"]].concat())
    }

    fn of_people(&mut self, kind: usize) -> What {
        match kind {
            13 => What::RefundRequested {
                request: self.request(),
                amount: self.amount(),
                charge: self.some(|b| b.id("ch")),
                origin: self.pick(&[
                    Origin::Shop,
                    Origin::Reported,
                    Origin::Operator,
                    Origin::Cancellation,
                    Origin::Excess,
                ]),
                by_name: self.some(|_| "Ada".into()),
                text: "t".into(),
            },
            14 => What::CaseOpened {
                case: self.case(),
                case_kind: self.pick(&[
                    CaseKind::Limit,
                    CaseKind::Excess,
                    CaseKind::Unknown,
                    CaseKind::WriteBack,
                ]),
                text: "t".into(),
            },
            15 => What::CaseDecided {
                case: self.case(),
                decision: self.pick(&[Decision::Approve, Decision::Deny]),
                by_name: "Ada".into(),
                arn: self.some(|_| "arn:aws:iam::1:user/ada".into()),
            },
            _ => What::CaseLapsed { case: self.case() },
        }
    }

    fn of_kind(&mut self, kind: usize) -> What {
        match kind {
            0 | 1 => What::OrderSeen(Box::new(self.order())),
            2 => What::PayToken { token: self.id("token") },
            3 => What::CustomerLinked { customer: self.id("cus") },
            4 => {
                let method = self.some(|b| b.id("pm"));
                What::MethodSeen { method, fingerprint: self.some(|b| b.id("fp")) }
            }
            5 => What::SessionSeen(self.session()),
            6 => What::IntentSeen(self.intent()),
            7 => What::ChargeSeen(self.charge()),
            8 => What::RefundSeen(self.refund()),
            9 => What::DisputeSeen(self.dispute()),
            10 | 11 => {
                let (effect, generation) = (self.effect(), self.pick(&[1, 2]));
                What::Claimed { effect, generation, terms: self.terms() }
            }
            12 => {
                let (effect, generation) = (self.effect(), self.pick(&[1, 2, u32::MAX]));
                What::Outcome { effect, generation, result: self.result() }
            }
            13..=16 => self.of_people(kind),
            17 => What::CardBudget {
                attempt: self.attempt(),
                try_no: self.pick(&[1, 2, 3]),
                granted: self.bit(),
                again_at: self.some(Self::time),
            },
            18 => What::RetryScheduled {
                attempt: self.attempt(),
                try_no: self.pick(&[1, 2, 3]),
                due: self.time(),
                class: DeclineClass::Soft,
            },
            19 => What::GaveUp { class: DeclineClass::Never },
            20 => What::BuyerAsked,
            21 => What::ViewTold { version: self.number(40), recorded: self.some(Self::amount) },
            22 => {
                let effect = self.word(&["tell", "notice:case:limit"]);
                What::TellFailed {
                    effect,
                    detail: "it answers 422".into(),
                    recorded: self.some(Self::amount),
                }
            }
            _ => What::Noticed { key: self.word(&["case:limit", "ask:1", "gave_up:1"]) },
        }
    }
}

/// Kinds of facts, some of them twice as often.
const KINDS: usize = 24;

/// The fact that a seed stands for.
pub(crate) fn what(seed: Seed) -> What {
    let mut bytes = Bytes { seed, at: 1 };
    bytes.of_kind(usize::from(seed[0]) % KINDS)
}

/// The `n`-th fact of an order: one commit each three, most of them hinted at by an event.
pub(crate) fn fact(n: usize, what: What) -> Fact {
    Fact {
        id: format!("c{}.{}", n / 3, n % 3),
        at: UnixTime(1_700_000_000 + 60 * i64::try_from(n).unwrap()),
        by: "test/1".into(),
        corr: "c".into(),
        hint: (!n.is_multiple_of(4)).then(|| format!("stripe/evt_{}", n / 2)),
        why: "observed".into(),
        policy: "p".into(),
        prev: String::new(),
        what,
    }
}
