//! The named reasons, each with its words for people.

macro_rules! reasons {
    ($($variant:ident = $name:literal, $words:literal;)*) => {
        /// Why an action is planned. Stored with every fact that follows from it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $(#[doc = $words] $variant,)* }
        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// The stored word.
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $name,)* } }
            /// For people.
            pub const fn words(self) -> &'static str { match self { $(Self::$variant => $words,)* } }
        }
    };
}

reasons! {
    FirstSession = "first_session", "the order arrived and nothing is payable yet";
    BuyerAsked = "buyer_asked", "the buyer asked for a page by the stable link";
    SavedMethod = "saved_method", "the order is collected automatically and the buyer has a saved method";
    BalanceDue = "balance_due", "the deposit is paid and the balance is due";
    AmountChanged = "amount_changed", "what is due no longer fits the open attempt";
    NothingDue = "nothing_due", "nothing is due any more";
    NotCollected = "not_collected", "the order is not to be collected through us";
    TermsChanged = "terms_changed", "who pays, or how, has changed";
    OrderCancelled = "order_cancelled", "the order was cancelled";
    BuyerPaysOnPage = "buyer_pays_on_page", "the buyer pays on a page instead of the saved method";
    SecondObject = "second_object", "the attempt has another session or intent; only one may be payable";
    FirstTry = "first_try", "the attempt was made and has not been confirmed";
    RetryDue = "retry_due", "the retry ladder says it is time";
    CardBudget = "card_budget", "card networks limit how often one card may be tried";
    SoftDecline = "soft_decline", "the decline may pass another day";
    TechnicalDecline = "technical_decline", "the decline was technical";
    LadderEnded = "ladder_ended", "the retry ladder has ended";
    GaveUp = "gave_up", "nobody paid in the time the policy gives";
    Fulfilled = "fulfilled", "the order is fulfilled";
    CaptureAtOnce = "capture_at_once", "the order is taken at once";
    AuthorisationEnds = "authorisation_ends", "the authorisation is about to end";
    PersonApproved = "person_approved", "a person approved it";
    PersonDenied = "person_denied", "a person denied it";
    PersonDecides = "person_decides", "the policy leaves this to a person";
    RefundAsked = "refund_asked", "a refund was asked for";
    RefundAuto = "refund_within_policy", "the refund policy allows it without a person";
    RefundOnCancel = "refund_on_cancel", "the order was cancelled after money was taken";
    CauseGone = "cause_gone", "what the case was about is gone";
    ViewChanged = "view_changed", "the order system does not know our newest view";
    MustBeTold = "must_be_told", "somebody must be told";
    ClaimUnsettled = "claim_unsettled", "an earlier call has no outcome yet";
    OrderNotSeen = "order_not_seen", "the order has not been read from its system";
    NotSeenSince = "not_seen_since", "nothing was heard of the open attempt";
    CustomerFirst = "customer_first", "the buyer's Stripe customer comes first";
    KeyRolled = "key_rolled", "the key of an earlier call was given up after a search found nothing of it";
    Observed = "observed", "seen at its source";
    Carried = "carried_out", "a planned effect ended";
    Decided = "decided", "a person decided";
}
