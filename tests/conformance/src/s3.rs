//! S3: reports written whole, read back and listed.

use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;

use crate::bench::Bench;
use crate::check::{Seen, Trouble, checks, code, verdict};

const GET: &str = "S3 API, GetObject";
const PUT: &str = "S3 API, PutObject";
const LIST: &str = "S3 API, ListObjectsV2";

checks! {
    "round-trip", "an object read back", "same bytes, text/csv", GET => round_trip;
    "overwritten", "an object written twice", "the second", PUT => overwritten;
    "empty", "an empty object", "0 bytes", PUT => empty;
    "odd-name", "a name with a blank, ü, +, %, & and =", "read, listed", "S3 guide, Naming objects" => odd_name;
    "missing-key", "an object that is not there, as the SDK types it", "NoSuchKey", GET => missing_key;
    "missing-bucket", "a bucket that is not there", "NoSuchBucket", PUT => missing_bucket;
    "listed-by-prefix", "b, a/2, a/10 and a/1 listed by the prefix a/", "a/1 a/10 a/2", LIST => listed_by_prefix;
    "pages", "three objects, two a page", "2 1", LIST => pages;
}

impl Bench {
    fn object(&self, key: &str, body: &str) -> PutObjectFluentBuilder {
        let put = self.s3.put_object().bucket(self.group()).key(key);
        put.body(ByteStream::from(body.as_bytes().to_vec()))
    }

    async fn bytes(&self, key: &str) -> Result<(Vec<u8>, String), Trouble> {
        let answer = self.s3.get_object().bucket(self.group()).key(key).send().await?;
        let kind = answer.content_type().unwrap_or("no type").to_owned();
        Ok((answer.body.collect().await.map_err(Trouble::new)?.to_vec(), kind))
    }

    async fn listed(&self, prefix: &str) -> Result<Vec<String>, Trouble> {
        let answer = self.s3.list_objects_v2().bucket(self.group()).prefix(prefix).send().await?;
        Ok(answer.contents().iter().filter_map(|o| o.key()).map(str::to_owned).collect())
    }
}

async fn round_trip(bench: &Bench) -> Seen {
    let key = bench.name("report");
    let text = "order,amount\n1001,12.50 \u{20ac}\r\n".repeat(5_000);
    bench.object(&key, &text).content_type("text/csv").send().await?;
    let (bytes, kind) = bench.bytes(&key).await?;
    let same = if bytes == text.as_bytes() { "same bytes" } else { "other bytes" };
    Ok(format!("{same}, {kind}"))
}

async fn overwritten(bench: &Bench) -> Seen {
    let key = bench.name("report");
    for body in ["first", "second"] {
        bench.object(&key, body).send().await?;
    }
    Ok(if bench.bytes(&key).await?.0 == b"second" { "the second" } else { "another" }.to_owned())
}

async fn empty(bench: &Bench) -> Seen {
    let key = bench.name("report");
    bench.object(&key, "").send().await?;
    Ok(format!("{} bytes", bench.bytes(&key).await?.0.len()))
}

async fn odd_name(bench: &Bench) -> Seen {
    let folder = bench.name("odd");
    let key = format!("{folder}/ü b+c%20d&e=f.csv");
    bench.object(&key, "x").send().await?;
    let read = if bench.bytes(&key).await?.0 == b"x" { "read" } else { "not read" };
    let listed = bench.listed(&folder).await? == [key];
    Ok(format!("{read}, {}", if listed { "listed" } else { "not listed" }))
}

async fn missing_key(bench: &Bench) -> Seen {
    let got = bench.s3.get_object().bucket(bench.group()).key(bench.name("report")).send().await;
    Ok(match got {
        Ok(_) => "found".to_owned(),
        Err(error) if error.as_service_error().is_some_and(|e| e.is_no_such_key()) => "NoSuchKey".to_owned(),
        Err(error) => format!("untyped {}", code(&error)),
    })
}

async fn missing_bucket(bench: &Bench) -> Seen {
    let put = bench.object("a", "x").bucket("no-such-bucket-of-ours");
    Ok(verdict(&put.send().await))
}

async fn listed_by_prefix(bench: &Bench) -> Seen {
    let folder = bench.name("list");
    for key in ["b", "a/2", "a/10", "a/1"] {
        bench.object(&format!("{folder}/{key}"), "x").send().await?;
    }
    let listed = bench.listed(&format!("{folder}/a/")).await?;
    let short = listed.iter().filter_map(|key| key.strip_prefix(&format!("{folder}/")));
    Ok(short.collect::<Vec<_>>().join(" "))
}

async fn pages(bench: &Bench) -> Seen {
    let folder = bench.name("pages");
    for i in 0..3 {
        bench.object(&format!("{folder}/{i}"), "x").send().await?;
    }
    let (mut sizes, mut after) = (Vec::new(), None);
    for _ in 0..5 {
        let list = bench.s3.list_objects_v2().bucket(bench.group()).prefix(&folder).max_keys(2);
        let answer = list.set_continuation_token(after).send().await?;
        sizes.push(answer.contents().len().to_string());
        after = answer.next_continuation_token;
        if after.is_none() {
            break;
        }
    }
    Ok(sizes.join(" "))
}
