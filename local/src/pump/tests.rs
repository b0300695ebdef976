//! The pump as Lambda: batches, partial failures, panics, time-outs, schedules.

use futures::FutureExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use aws_lambda_events::sqs::BatchItemFailure;

struct Fixture {
    aws: EmbeddedAws,
    sqs: aws_sdk_sqs::Client,
    resources: Resources,
    pump: Pump,
}

async fn fixture(mapping: Mapping) -> Fixture {
    let clock = Clock::tokio_from(UnixTime(1_800_000_000));
    let aws = EmbeddedAws::new(clock.clone()).unwrap();
    let resources = aws.provision("test").await.unwrap();
    let sqs = aws_sdk_sqs::Client::new(&aws.sdk_config());
    let pump =
        Pump::new(sqs.clone(), resources.clone(), clock).with_scheduler(aws.clone()).with_mapping(mapping);
    Fixture { aws, sqs, resources, pump }
}

impl Fixture {
    async fn send(&self, queue: Queue, body: &str) {
        let url = &self.resources.queue_urls[queue.name()];
        self.sqs.send_message().queue_url(url).message_body(body).send().await.unwrap();
    }
}

fn handler<F: Future<Output = SqsBatchResponse> + Send + 'static>(
    f: impl Fn(SqsEvent) -> F + Send + Sync + 'static,
) -> Handler {
    Arc::new(move |event| f(event).boxed())
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_functions_is_worked_to_its_end_under_each_functions_name() {
    let mut f = fixture(Mapping::default()).await;
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let (sqs, url, log) = (f.sqs.clone(), f.resources.queue_urls["payments"].clone(), Arc::clone(&seen));
    f.pump.register(
        Queue::Orders,
        handler(move |event| {
            let (sqs, url, log) = (sqs.clone(), url.clone(), Arc::clone(&log));
            async move {
                let body = event.records[0].body.clone().unwrap();
                log.lock().unwrap().push(format!("{} {body}", CURRENT_FUNCTION.get()));
                tokio::time::sleep(Duration::from_secs(5)).await;
                sqs.send_message().queue_url(url).message_body("next").send().await.unwrap();
                SqsBatchResponse::default()
            }
        }),
    );
    let log = Arc::clone(&seen);
    f.pump.register(
        Queue::Payments,
        handler(move |event| {
            let body = event.records[0].body.clone().unwrap();
            log.lock().unwrap().push(format!("{} {body}", CURRENT_FUNCTION.get()));
            async { SqsBatchResponse::default() }
        }),
    );
    f.send(Queue::Orders, "first").await;
    let stats = f.pump.run_until_idle(100).await;
    assert_eq!(*seen.lock().unwrap(), ["payment-creator first", "payment-recorder next"]);
    assert_eq!((stats.total_invocations(), stats.failed, stats.gave_up), (2, 0, false));
    assert!(f.pump.is_quiet().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn only_the_failed_message_of_a_batch_comes_again() {
    let mut f = fixture(Mapping { retry_visibility: Some(0), ..Mapping::default() }).await;
    let tries: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let log = Arc::clone(&tries);
    f.pump.register(
        Queue::Refunds,
        handler(move |event| {
            let mut answer = SqsBatchResponse::default();
            for record in event.records {
                let body = record.body.unwrap();
                let mut log = log.lock().unwrap();
                let count = log.entry(body.clone()).or_default();
                *count += 1;
                if body == "bad" && *count < 3 {
                    answer.add_failure(record.message_id.unwrap());
                }
            }
            async { answer }
        }),
    );
    for body in ["a", "bad", "b"] {
        f.send(Queue::Refunds, body).await;
    }
    let stats = f.pump.run_until_idle(100).await;
    assert_eq!(stats.failed, 2);
    assert_eq!(*tries.lock().unwrap(), BTreeMap::from([("a".into(), 1), ("b".into(), 1), ("bad".into(), 3)]));
}

#[tokio::test(start_paused = true)]
async fn a_panic_or_a_time_out_or_an_unknown_id_fails_the_whole_batch() {
    let mut f = fixture(Mapping { timeout: Duration::from_secs(2), ..Mapping::default() }).await;
    f.pump.register(Queue::Orders, Arc::new(|_| panic!("injected")));
    f.pump.register(
        Queue::Payments,
        handler(|_| async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            SqsBatchResponse::default()
        }),
    );
    f.pump.register(
        Queue::Failures,
        handler(|_| async {
            let mut answer = SqsBatchResponse::default();
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = "unknown".to_owned();
            answer.batch_item_failures.push(failure);
            answer
        }),
    );
    for queue in [Queue::Orders, Queue::Payments, Queue::Failures] {
        f.send(queue, "m").await;
    }
    let stats = f.pump.run_until_idle(100).await;
    assert_eq!((stats.failed, stats.panics, stats.timeouts), (3, 1, 1));
    assert!(!f.pump.is_quiet().await.unwrap(), "they wait for their visibility time");
}

#[tokio::test(start_paused = true)]
async fn no_more_invocations_run_at_once_than_allowed() {
    let mut f = fixture(Mapping { batch_size: 1, concurrency: 3, ..Mapping::default() }).await;
    let now: Arc<AtomicUsize> = Arc::default();
    let most: Arc<AtomicUsize> = Arc::default();
    let (n, m) = (Arc::clone(&now), Arc::clone(&most));
    f.pump.register(
        Queue::Orders,
        handler(move |_| {
            let (n, m) = (Arc::clone(&n), Arc::clone(&m));
            async move {
                m.fetch_max(n.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
                n.fetch_sub(1, Ordering::SeqCst);
                SqsBatchResponse::default()
            }
        }),
    );
    for _ in 0..10 {
        f.send(Queue::Orders, "m").await;
    }
    let stats = f.pump.run_until_idle(100).await;
    assert_eq!((stats.total_invocations(), most.load(Ordering::SeqCst)), (10, 3));
    for _ in 0..10 {
        f.send(Queue::Orders, "m").await;
    }
    let stats = f.pump.run_until_idle(4).await;
    assert_eq!((stats.total_invocations(), stats.gave_up), (4, true));
}

#[tokio::test(start_paused = true)]
async fn a_schedule_fires_once_when_the_clock_has_reached_it() {
    use aws_sdk_scheduler::types::{
        ActionAfterCompletion, FlexibleTimeWindow, FlexibleTimeWindowMode, Target,
    };
    let mut f = fixture(Mapping::default()).await;
    let woken: Arc<AtomicUsize> = Arc::default();
    let counter = Arc::clone(&woken);
    f.pump.register(
        Queue::Failures,
        handler(move |event| {
            assert_eq!(event.records[0].body.as_deref(), Some("{\"wake\":1}"));
            counter.fetch_add(1, Ordering::SeqCst);
            async { SqsBatchResponse::default() }
        }),
    );
    let target = Target::builder()
        .arn(&f.resources.queue_arns["failures"])
        .role_arn(&f.resources.schedule_role_arn)
        .input("{\"wake\":1}");
    aws_sdk_scheduler::Client::new(&f.aws.sdk_config())
        .create_schedule()
        .name("retry")
        .group_name(&f.resources.schedule_group)
        .schedule_expression(format!("at({})", UnixTime(1_800_259_200).to_string().trim_end_matches('Z')))
        .action_after_completion(ActionAfterCompletion::Delete)
        .flexible_time_window(
            FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build().unwrap(),
        )
        .target(target.build().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(f.pump.run_until_idle(10).await.schedules, 0);
    assert_eq!(f.pump.next_due_at(), Some(UnixTime(1_800_259_200)));
    jump_clock(&f.aws, Duration::from_secs(3 * 86_400), ClockMode::Paused).await.unwrap();
    assert_eq!(f.pump.run_until_idle(10).await.schedules, 1);
    assert_eq!(f.pump.run_until_idle(10).await.schedules, 0);
    assert_eq!((woken.load(Ordering::SeqCst), f.pump.next_due_at()), (1, None));
}

#[tokio::test(start_paused = true)]
async fn run_for_ever_it_works_what_comes_later_too() {
    let mut f = fixture(Mapping::default()).await;
    let seen: Arc<AtomicUsize> = Arc::default();
    let counter = Arc::clone(&seen);
    f.pump.register(
        Queue::Orders,
        handler(move |event| {
            counter.fetch_add(event.records.len(), Ordering::SeqCst);
            async { SqsBatchResponse::default() }
        }),
    );
    f.pump.register(Queue::Payments, handler(|_| async { SqsBatchResponse::default() }));
    let story = async {
        for sent in 1..=3 {
            tokio::time::sleep(Duration::from_secs(40)).await;
            f.send(Queue::Orders, "m").await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(seen.load(Ordering::SeqCst), sent);
        }
    };
    tokio::select! {
        () = f.pump.run_forever() => panic!("for ever ended"),
        () = story => {}
    }
}

/// A service that takes its time, more or less of it at each call.
struct Slow(AtomicUsize);

impl crate::aws::Faults for Slow {
    fn around<'a>(
        &'a self,
        _: crate::aws::io::Call<'a>,
        effect: crate::aws::io::Effect,
    ) -> BoxFuture<'a, Result<crate::aws::Answer, aws_smithy_runtime_api::client::result::ConnectorError>>
    {
        let ms = 300 + 97 * (self.0.fetch_add(1, Ordering::SeqCst) as u64 % 11);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            Ok(effect.await)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_service_does_not_keep_the_pump_from_resting() {
    let mut f = fixture(Mapping::default()).await;
    for queue in Queue::ALL {
        f.pump.register(queue, handler(|_| async { SqsBatchResponse::default() }));
    }
    f.send(Queue::Orders, "m").await;
    f.aws.set_faults(Arc::new(Slow(AtomicUsize::new(0))));
    let rested = tokio::time::timeout(Duration::from_secs(20), f.pump.run_until_idle(100)).await;
    assert_eq!(rested.expect("at rest within 20 s").total_invocations(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_chain_is_worked_to_its_end_over_a_slow_service_too() {
    let mut f = fixture(Mapping::default()).await;
    let chain = [Queue::Orders, Queue::Payments, Queue::Refunds, Queue::Failures];
    for (i, queue) in chain.into_iter().enumerate() {
        let next = chain.get(i + 1).map(|q| f.resources.queue_urls[q.name()].clone());
        let sqs = f.sqs.clone();
        f.pump.register(
            queue,
            handler(move |_| {
                let (sqs, next) = (sqs.clone(), next.clone());
                async move {
                    if let Some(url) = next {
                        sqs.send_message().queue_url(url).message_body("m").send().await.unwrap();
                    }
                    SqsBatchResponse::default()
                }
            }),
        );
    }
    for offset in 0..11 {
        f.send(Queue::Orders, "m").await;
        f.aws.set_faults(Arc::new(Slow(AtomicUsize::new(offset))));
        assert_eq!(f.pump.run_until_idle(100).await.total_invocations(), 4, "offset {offset}");
        f.aws.set_faults(Arc::new(crate::aws::NoFaults));
        assert!(f.pump.is_quiet().await.unwrap(), "offset {offset}");
    }
}
