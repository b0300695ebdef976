//! SSM's parameter store: secrets by name.

use aws_sdk_ssm::operation::put_parameter::builders::PutParameterFluentBuilder;
use aws_sdk_ssm::types::ParameterType;

use crate::bench::Bench;
use crate::check::{Seen, checks, verdict};

const GET: &str = "SSM API, GetParameter";
const PUT: &str = "SSM API, PutParameter";

checks! {
    "decrypted", "a secret read with decryption", "its value", GET => decrypted;
    "sealed", "a secret read without decryption", "not its value", GET => sealed;
    "absent", "a parameter that is not there, as the SDK types it", "ParameterNotFound", GET => absent;
    "written-twice", "a parameter written again without overwrite", "ParameterAlreadyExists", PUT => written_twice;
    "overwritten", "a parameter overwritten: version and value", "2, new", PUT => overwritten;
    "many", "two names read at once, one not there", "1 found, 1 named as invalid", "SSM API, GetParameters" => many;
    "4-kb", "values of 4096 and of 4097 characters", "accepted, ValidationException", "SSM guide, Parameter tiers" => value_4_kb;
    "empty-value", "an empty value", "ValidationException", PUT => empty_value;
}

impl Bench {
    fn put_secret(&self, name: &str, value: impl Into<String>) -> PutParameterFluentBuilder {
        self.ssm.put_parameter().name(name).value(value).r#type(ParameterType::SecureString)
    }

    fn secret_name(&self) -> String {
        format!("/{}", self.name("secret"))
    }
}

async fn read(bench: &Bench, decrypt: bool) -> Result<String, crate::check::Trouble> {
    let name = bench.secret_name();
    bench.put_secret(&name, "open sesame").send().await?;
    let answer = bench.ssm.get_parameter().name(&name).with_decryption(decrypt).send().await?;
    Ok(answer.parameter.and_then(|p| p.value).unwrap_or_default())
}

async fn decrypted(bench: &Bench) -> Seen {
    Ok(if read(bench, true).await? == "open sesame" { "its value" } else { "another value" }.to_owned())
}

async fn sealed(bench: &Bench) -> Seen {
    Ok(if read(bench, false).await? == "open sesame" { "its value" } else { "not its value" }.to_owned())
}

async fn absent(bench: &Bench) -> Seen {
    let got = bench.ssm.get_parameter().name(bench.secret_name()).with_decryption(true).send().await;
    let typed = got.as_ref().is_err_and(|e| e.as_service_error().is_some_and(|e| e.is_parameter_not_found()));
    Ok(if typed { "ParameterNotFound".to_owned() } else { format!("untyped {}", verdict(&got)) })
}

async fn written_twice(bench: &Bench) -> Seen {
    let name = bench.secret_name();
    bench.put_secret(&name, "old").send().await?;
    Ok(verdict(&bench.put_secret(&name, "new").send().await))
}

async fn overwritten(bench: &Bench) -> Seen {
    let name = bench.secret_name();
    bench.put_secret(&name, "old").send().await?;
    let written = bench.put_secret(&name, "new").overwrite(true).send().await?;
    let answer = bench.ssm.get_parameter().name(&name).with_decryption(true).send().await?;
    Ok(format!("{}, {}", written.version(), answer.parameter.and_then(|p| p.value).unwrap_or_default()))
}

async fn many(bench: &Bench) -> Seen {
    let name = bench.secret_name();
    bench.put_secret(&name, "value").send().await?;
    let get = bench.ssm.get_parameters().names(&name).names(bench.secret_name());
    let answer = get.with_decryption(true).send().await?;
    let (found, invalid) = (answer.parameters().len(), answer.invalid_parameters().len());
    Ok(format!("{found} found, {invalid} named as invalid"))
}

async fn value_4_kb(bench: &Bench) -> Seen {
    let fits = verdict(&bench.put_secret(&bench.secret_name(), "x".repeat(4096)).send().await);
    let over = bench.put_secret(&bench.secret_name(), "x".repeat(4097)).send().await;
    Ok(format!("{fits}, {}", verdict(&over)))
}

async fn empty_value(bench: &Bench) -> Seen {
    Ok(verdict(&bench.put_secret(&bench.secret_name(), "").send().await))
}
