//! A fake Meta, which kills the bot in the middle and compares in the end.

use std::{env, path::Path, process::Stdio, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use sqlx::{Row, SqlitePool};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};
use tower_whatsapp::testing::{
    delivery,
    sample::{self, Sample},
};

use crate::BoxError;

const SECRET: &str = "the app secret";
const PEOPLE: usize = 4;
const MESSAGES: usize = 6;

type HttpClient = Client<HttpConnector, Full<Bytes>>;

pub(crate) async fn run() -> Result<(), BoxError> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("inbox.db");
    let client: HttpClient = Client::builder(TokioExecutor::new()).build_http();
    println!("the bot starts");
    let (mut bot, mut url) = start(&file).await?;
    for number in 0..MESSAGES {
        for person in 0..PEOPLE {
            send(&client, &url, &message(person, number)).await?;
        }
        if number == 2 {
            // The calls of the first bursts are running.
            sleep(Duration::from_millis(1500)).await;
            println!("kill -9");
            bot.kill().await?;
            (bot, url) = start(&file).await?;
            println!("the bot starts again");
        }
    }
    println!("everything is delivered again, as Meta does");
    for person in 0..PEOPLE {
        let all = (1..MESSAGES).fold(message(person, 0), |all, n| all.and(message(person, n)));
        send(&client, &url, &all).await?;
    }
    let result = wait(&file).await;
    bot.kill().await?;
    result
}

fn message(person: usize, number: usize) -> Sample {
    let body = if (person, number) == (1, 5) {
        "flaky"
    } else {
        "hello"
    };
    sample::text(body)
        .from(format!("4915550000{person}"))
        .user_id(format!("DE.{person}"))
        .id(format!("wamid.{person}-{number}"))
        .timestamp(1_790_000_000 + number as u64)
}

async fn start(file: &Path) -> Result<(Child, String), BoxError> {
    let mut bot = Command::new(env::current_exe()?)
        .arg(file)
        .arg("127.0.0.1:0")
        .env("WHATSAPP_APP_SECRET", SECRET)
        .env("WHATSAPP_VERIFY_TOKEN", "the verify token")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(bot.stdout.take().ok_or("no output")?).lines();
    let first = lines.next_line().await?.ok_or("the bot does not start")?;
    let address = first.strip_prefix("listening on ").ok_or("no address")?;
    let url = format!("http://{address}/webhook");
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            println!("{line}");
        }
    });
    Ok((bot, url))
}

/// Retries until the answer is 200, as Meta does.
async fn send(client: &HttpClient, url: &str, sample: &Sample) -> Result<(), BoxError> {
    for _ in 0..100 {
        let request = delivery(url, sample.body(), SECRET).map(Full::new);
        if let Ok(response) = client.request(request).await
            && response.status() == 200
        {
            return Ok(());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Err("a delivery was never accepted".into())
}

/// Waits for all answers, and checks that each message has exactly one, in order.
async fn wait(file: &Path) -> Result<(), BoxError> {
    let pool = SqlitePool::connect(&format!("sqlite://{}", file.display())).await?;
    let count = "SELECT count(*) FROM whatsapp_inbox_event WHERE state = 0";
    let start = Instant::now();
    let all = async {
        while sqlx::query_scalar::<_, i64>(count).fetch_one(&pool).await? > 0 {
            sleep(Duration::from_millis(100)).await;
        }
        Ok::<_, sqlx::Error>(())
    };
    timeout(Duration::from_secs(60), all).await??;
    let rows = sqlx::query("SELECT message, call FROM answers ORDER BY rowid")
        .fetch_all(&pool)
        .await?;
    let answers = rows
        .iter()
        .map(|row| Ok((row.try_get("message")?, row.try_get("call")?)))
        .collect::<Result<Vec<(String, String)>, sqlx::Error>>()?;
    let mut calls: Vec<_> = answers.iter().map(|(_, call)| call).collect();
    calls.sort();
    calls.dedup();
    println!(
        "{} messages of {PEOPLE} people, delivered twice: {} answers in {} calls, {:?} after the last delivery",
        PEOPLE * MESSAGES,
        answers.len(),
        calls.len(),
        start.elapsed()
    );
    for person in 0..PEOPLE {
        let prefix = format!("wamid.{person}-");
        let mine = answers
            .iter()
            .filter_map(|(message, _)| message.strip_prefix(&prefix));
        let expected: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).collect();
        if !mine.eq(expected.iter().map(String::as_str)) {
            return Err("something was lost, answered twice or out of order".into());
        }
    }
    println!("nothing was lost, nothing was answered twice, and everyone was answered in order");
    Ok(())
}
