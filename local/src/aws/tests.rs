//! The embedded services as the real SDK sees them.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError as UpdateError;
use aws_sdk_dynamodb::types::{AttributeValue as Av, ReturnValuesOnConditionCheckFailure};
use aws_sdk_scheduler::types::{ActionAfterCompletion, FlexibleTimeWindow, FlexibleTimeWindowMode, Target};
use aws_sdk_sqs::types::QueueAttributeName;
use shared::config::Resources;

use super::*;

const START: UnixTime = UnixTime(1_800_000_000);

async fn started() -> (EmbeddedAws, SdkConfig, Resources) {
    let aws = EmbeddedAws::new(Clock::tokio_from(START)).unwrap();
    let resources = aws.provision("test").await.unwrap();
    let config = aws.sdk_config();
    (aws, config, resources)
}

#[tokio::test(start_paused = true)]
async fn one_of_eight_writers_on_one_revision_wins_and_the_losers_see_the_item() {
    let (_aws, config, resources) = started().await;
    let db = aws_sdk_dynamodb::Client::new(&config);
    let commit = |writer: usize| {
        db.update_item()
            .table_name(&resources.orders_table)
            .key("pk", Av::S("test#checkout#shop#1".into()))
            .key("sk", Av::S("head".into()))
            .update_expression("SET rev = :next, writer = :w")
            .condition_expression("attribute_not_exists(rev)")
            .expression_attribute_values(":next", Av::N("1".into()))
            .expression_attribute_values(":w", Av::N(writer.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
    };
    let outcomes = futures::future::join_all((0..8).map(commit)).await;
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1);
    for lost in outcomes.into_iter().filter_map(Result::err) {
        let error = lost.into_service_error();
        let UpdateError::ConditionalCheckFailedException(seen) = error else { panic!("{error:?}") };
        assert_eq!(seen.item.unwrap()["rev"], Av::N("1".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_due_index_holds_only_items_with_a_due_time_and_the_summary_is_projected() {
    let (_aws, config, resources) = started().await;
    let db = aws_sdk_dynamodb::Client::new(&config);
    let update = |expression: &str| {
        db.update_item()
            .table_name(&resources.orders_table)
            .key("pk", Av::S("k".into()))
            .key("sk", Av::S("head".into()))
            .update_expression(expression)
    };
    let query = |index: &str, column: &str, value: &str| {
        db.query()
            .table_name(&resources.orders_table)
            .index_name(index)
            .key_condition_expression("#c = :v")
            .expression_attribute_names("#c", column)
            .expression_attribute_values(":v", Av::S(value.into()))
            .send()
    };
    update("SET due_shard = :s, due_at = :t, #d = :d, #o = :o, summary = :m")
        .expression_attribute_names("#d", "day")
        .expression_attribute_names("#o", "order_key")
        .expression_attribute_values(":s", Av::S("s0".into()))
        .expression_attribute_values(":t", Av::N("5".into()))
        .expression_attribute_values(":d", Av::S("2027-01-15#0".into()))
        .expression_attribute_values(":o", Av::S("k".into()))
        .expression_attribute_values(":m", Av::S("paid".into()))
        .send()
        .await
        .unwrap();
    let due = query(DUE_INDEX, "due_shard", "s0").await.unwrap();
    assert_eq!(due.count(), 1);
    assert!(!due.items()[0].contains_key("summary"), "keys only");
    let day = query(DAY_INDEX, "day", "2027-01-15#0").await.unwrap();
    assert_eq!(day.items()[0]["summary"], Av::S("paid".into()));
    update("REMOVE due_shard, due_at").send().await.unwrap();
    assert_eq!(query(DUE_INDEX, "due_shard", "s0").await.unwrap().count(), 0);
    assert_eq!(query(DAY_INDEX, "day", "2027-01-15#0").await.unwrap().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_body_is_gone_after_its_time_to_live() {
    let (aws, config, resources) = started().await;
    let db = aws_sdk_dynamodb::Client::new(&config);
    db.put_item()
        .table_name(&resources.orders_table)
        .item("pk", Av::S("k".into()))
        .item("sk", Av::S("body#x".into()))
        .item("expires_at", Av::N((START.0 + 60).to_string()))
        .send()
        .await
        .unwrap();
    assert_eq!(aws.dynamodb().sweep_ttl().unwrap(), 0);
    tokio::time::advance(Duration::from_secs(120)).await;
    assert_eq!(aws.dynamodb().sweep_ttl().unwrap(), 1);
}

async fn receive(sqs: &aws_sdk_sqs::Client, url: &str) -> Vec<aws_sdk_sqs::types::Message> {
    let answer = sqs.receive_message().queue_url(url).max_number_of_messages(10).send().await.unwrap();
    answer.messages.unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn an_undeleted_message_returns_after_its_visibility_and_dies_after_eight_receives() {
    let (_aws, config, resources) = started().await;
    let sqs = aws_sdk_sqs::Client::new(&config);
    let url = &resources.queue_urls["orders"];
    sqs.send_message().queue_url(url).message_body("hint").send().await.unwrap();
    for _ in 0..MAX_RECEIVES {
        assert_eq!(receive(&sqs, url).await.len(), 1);
        assert_eq!(receive(&sqs, url).await.len(), 0, "hidden while in flight");
        tokio::time::advance(Duration::from_secs(u64::from(VISIBILITY_SECONDS) + 1)).await;
    }
    assert_eq!(receive(&sqs, url).await.len(), 0);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(receive(&sqs, &resources.dead_queue_urls["orders"]).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_missing_queue_is_a_typed_error_and_depth_is_shown() {
    let (_aws, config, resources) = started().await;
    let sqs = aws_sdk_sqs::Client::new(&config);
    let url = &resources.queue_urls["payments"];
    let missing = sqs.send_message().queue_url(format!("{url}-x")).message_body("m").send().await;
    assert!(missing.unwrap_err().into_service_error().is_queue_does_not_exist());
    sqs.send_message().queue_url(url).message_body("m").send().await.unwrap();
    let depth = sqs
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
        .send()
        .await
        .unwrap();
    assert_eq!(depth.attributes().unwrap()[&QueueAttributeName::ApproximateNumberOfMessages], "1");
}

#[tokio::test(start_paused = true)]
async fn a_schedule_name_is_unique_in_its_group_and_due_once() {
    let (aws, config, resources) = started().await;
    let client = aws_sdk_scheduler::Client::new(&config);
    let create = |name: &str, expression: String| {
        client
            .create_schedule()
            .name(name)
            .group_name(&resources.schedule_group)
            .schedule_expression(expression)
            .action_after_completion(ActionAfterCompletion::Delete)
            .flexible_time_window(
                FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build().unwrap(),
            )
            .target(
                Target::builder()
                    .arn(&resources.queue_arns["failures"])
                    .role_arn(&resources.schedule_role_arn)
                    .input("{}")
                    .build()
                    .unwrap(),
            )
            .send()
    };
    let at = |after: i64| format!("at({})", UnixTime(START.0 + after).to_string().trim_end_matches('Z'));
    create("retry-1", at(3600)).await.unwrap();
    let again = create("retry-1", at(3600)).await.unwrap_err().into_service_error();
    assert!(again.is_conflict_exception(), "{again:?}");
    let bad = create("retry-2", "every now and then".to_owned()).await.unwrap_err().into_service_error();
    assert!(bad.is_validation_exception(), "{bad:?}");
    let found =
        client.get_schedule().name("retry-1").group_name(&resources.schedule_group).send().await.unwrap();
    assert_eq!(found.schedule_expression(), Some(at(3600).as_str()));

    let scheduler = aws.scheduler();
    assert_eq!(scheduler.next_due_at(), Some(UnixTime(START.0 + 3600)));
    assert!(scheduler.due(UnixTime(START.0 + 3599)).is_empty());
    let due = scheduler.due(UnixTime(START.0 + 3600));
    assert_eq!((due.len(), due[0].input.as_str()), (1, "{}"));
    scheduler.complete(&due[0]);
    assert!(scheduler.due(UnixTime(START.0 + 9999)).is_empty());
    create("retry-1", at(7200)).await.expect("the name is free again");
    let listed = client.list_schedules().group_name(&resources.schedule_group).send().await.unwrap();
    assert_eq!(listed.schedules().len(), 1);
    client.delete_schedule().name("retry-1").group_name(&resources.schedule_group).send().await.unwrap();
    let gone = client.delete_schedule().name("retry-1").group_name(&resources.schedule_group).send().await;
    assert!(gone.unwrap_err().into_service_error().is_resource_not_found_exception());
}

#[tokio::test(start_paused = true)]
async fn reports_are_put_read_back_and_listed_in_pages() {
    let (aws, config, resources) = started().await;
    let s3 = aws_sdk_s3::Client::new(&config);
    for name in ["2027/a.csv", "2027/b.csv", "2028/c.csv"] {
        let body = aws_sdk_s3::primitives::ByteStream::from(name.as_bytes().to_vec());
        s3.put_object().bucket(&resources.reports_bucket).key(name).body(body).send().await.unwrap();
    }
    let read = s3.get_object().bucket(&resources.reports_bucket).key("2027/b.csv").send().await.unwrap();
    assert_eq!(&read.body.collect().await.unwrap().into_bytes()[..], b"2027/b.csv");
    let page = s3
        .list_objects_v2()
        .bucket(&resources.reports_bucket)
        .prefix("2027/")
        .max_keys(1)
        .send()
        .await
        .unwrap();
    assert_eq!((page.contents().len(), page.is_truncated()), (1, Some(true)));
    let next = page.next_continuation_token().unwrap();
    let rest =
        s3.list_objects_v2().bucket(&resources.reports_bucket).prefix("2027/").continuation_token(next);
    assert_eq!(rest.send().await.unwrap().contents()[0].key(), Some("2027/b.csv"));
    let missing = s3.get_object().bucket(&resources.reports_bucket).key("x").send().await.unwrap_err();
    assert!(missing.into_service_error().is_no_such_key());
    assert_eq!(aws.s3().objects(&resources.reports_bucket, "2028/").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_shown_only_decrypted() {
    let (aws, config, _) = started().await;
    let ssm = aws_sdk_ssm::Client::new(&config);
    aws.ssm().put_secret("/tandem/x", "open sesame", START);
    let get = |decrypt| ssm.get_parameter().name("/tandem/x").with_decryption(decrypt).send();
    assert_eq!(get(true).await.unwrap().parameter.unwrap().value.unwrap(), "open sesame");
    assert_eq!(get(false).await.unwrap().parameter.unwrap().value.unwrap(), "sealed");
    let missing = ssm.get_parameter().name("/tandem/y").send().await.unwrap_err();
    assert!(missing.into_service_error().is_parameter_not_found());
    let many = ssm
        .get_parameters()
        .names("/tandem/x")
        .names("/tandem/y")
        .with_decryption(true)
        .send()
        .await
        .unwrap();
    assert_eq!((many.parameters().len(), many.invalid_parameters().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_secrets_manager_is_read_by_its_reference_and_not_written_by_it() {
    use secrecy::ExposeSecret as _;
    use shared::config::SecretStore;
    let (aws, config, _) = started().await;
    let ssm = aws_sdk_ssm::Client::new(&config);
    let name = format!("{}tandem/demo/key", ssm::REFERENCE);
    let value = "open sesame".replace(' ', "-") + "-1234";
    aws.ssm().put_secret(&name, &value, START);
    let sealed = ssm.get_parameter().name(&name).send().await.unwrap_err();
    assert_eq!(shared::error::aws_reason(&sealed), "ValidationException");
    let written = ssm.put_parameter().name(&name).value("x").overwrite(true).send().await.unwrap_err();
    assert_eq!(shared::error::aws_reason(&written), "AccessDeniedException");
    let place = SecretStore::SecretsManager { prefix: "tandem/demo/".into() };
    let secrets = shared::secrets::Secrets::new(&place, &config, Clock::System);
    assert_eq!(secrets.get("key").await.unwrap().expose_secret(), value);
}

#[tokio::test(start_paused = true)]
async fn a_parameter_that_is_empty_or_too_long_is_refused_and_changes_nothing() {
    let (aws, config, _) = started().await;
    let ssm = aws_sdk_ssm::Client::new(&config);
    aws.ssm().put_secret("/tandem/x", "open sesame", START);
    for (length, code) in [(0, "ValidationException"), (4097, "ValidationException")] {
        let put =
            ssm.put_parameter().name("/tandem/x").value("x".repeat(length)).overwrite(true).send().await;
        assert_eq!(shared::error::aws_reason(&put.unwrap_err()), code, "{length}");
    }
    let kept = ssm.get_parameter().name("/tandem/x").with_decryption(true).send().await.unwrap();
    assert_eq!(kept.parameter.unwrap().value.unwrap(), "open sesame");
    ssm.put_parameter().name("/tandem/x").value("x".repeat(4096)).overwrite(true).send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_sqs_refuses_the_embedded_queue_refuses_too() {
    let (_aws, config, resources) = started().await;
    let sqs = aws_sdk_sqs::Client::new(&config);
    let url = &resources.queue_urls["orders"];
    let send =
        |body: &str, delay| sqs.send_message().queue_url(url).message_body(body).delay_seconds(delay).send();
    let late = send("m", 901).await.unwrap_err();
    assert_eq!(shared::error::aws_reason(&late), "InvalidParameterValue");
    assert!(send("a\u{1}", 0).await.is_err());
    assert!(sqs.receive_message().queue_url(url).max_number_of_messages(11).send().await.is_err());
    let made_up = sqs.delete_message().queue_url(url).receipt_handle("made up").send().await.unwrap_err();
    assert!(made_up.into_service_error().is_receipt_handle_is_invalid());
    assert_eq!(receive(&sqs, url).await.len(), 0, "nothing was sent");
}

struct ResetOnce(std::sync::atomic::AtomicBool);

impl Faults for ResetOnce {
    fn around<'a>(
        &'a self,
        call: io::Call<'a>,
        effect: io::Effect,
    ) -> futures::future::BoxFuture<'a, Result<Answer, ConnectorError>> {
        Box::pin(async move {
            let answer = effect.await;
            let first = call.label.operation == "SendMessage"
                && self.0.swap(false, std::sync::atomic::Ordering::SeqCst);
            if first { Err(io::reset()) } else { Ok(answer) }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_after_the_effect_is_retried_by_the_sdk_and_each_try_is_counted_for_its_function() {
    use shared::domain::ids::Function;
    let (aws, config, resources) = started().await;
    let sqs = aws_sdk_sqs::Client::new(&config);
    let url = &resources.queue_urls["orders"];
    aws.set_faults(Arc::new(ResetOnce(true.into())));
    let before = aws.io_counts();
    let send = sqs.send_message().queue_url(url).message_body("hint").send();
    crate::pump::CURRENT_FUNCTION.scope(Function::WebhookReceiver, send).await.unwrap();
    let counted = io::since(&before, &aws.io_counts());
    let rows: Vec<String> = counted.iter().map(|(label, n)| format!("{label} {n}")).collect();
    assert_eq!(rows, ["webhook-receiver sqs SendMessage test-orders 2"]);
    assert_eq!(receive(&sqs, url).await.len(), 2, "a standard queue repeats");
}

#[tokio::test(start_paused = true)]
async fn a_day_passes_quickly_and_queues_keep_what_they_hold() {
    let (aws, config, resources) = started().await;
    let sqs = aws_sdk_sqs::Client::new(&config);
    let (orders, dead) = (&resources.queue_urls["orders"], &resources.dead_queue_urls["orders"]);
    sqs.send_message().queue_url(dead).message_body("dead").send().await.unwrap();
    let began = std::time::Instant::now();
    aws.sqs().rest().await.unwrap();
    tokio::time::advance(Duration::from_secs(86_400)).await;
    aws.sqs().wake().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    sqs.send_message().queue_url(orders).message_body("hint").send().await.unwrap();
    assert_eq!(receive(&sqs, orders).await.len(), 1);
    assert_eq!(receive(&sqs, dead).await.len(), 1);
    for _ in 1..MAX_RECEIVES {
        tokio::time::advance(Duration::from_secs(u64::from(VISIBILITY_SECONDS) + 1)).await;
        assert_eq!(receive(&sqs, orders).await.len(), 1);
    }
    tokio::time::advance(Duration::from_secs(u64::from(VISIBILITY_SECONDS) + 1)).await;
    assert_eq!(receive(&sqs, orders).await.len(), 0);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(receive(&sqs, dead).await.len(), 2, "the dead letter queue is still joined");
}
