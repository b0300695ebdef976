//! One browser page. Every wait is bounded, and says what it waited for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How often a wait looks.
const LOOK: Duration = Duration::from_millis(150);

/// What a wait waits for.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// An element that fits the selector.
    Element(&'a str),
    /// No element fits the selector.
    Gone(&'a str),
    /// The visible text contains this, in any case.
    Text(&'a str),
}

/// A tab of headless Chromium.
#[derive(Debug)]
pub struct Page(Client);

fn said(e: impl std::fmt::Display) -> String {
    e.to_string()
}

impl Page {
    /// Opens a browser with a fresh profile; it speaks to nobody but the pages it is sent to.
    pub async fn open(driver: &str, profile: &Path) -> Result<Self, String> {
        let flags = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-proxy-server",
            "--window-size=1200,900",
        ];
        let mut args: Vec<String> = flags.map(str::to_owned).into();
        args.push(format!("--user-data-dir={}", profile.display()));
        let mut wanted = serde_json::Map::new();
        wanted.insert("goog:chromeOptions".to_owned(), json!({ "args": args }));
        let mut builder = ClientBuilder::rustls().map_err(said)?;
        builder.capabilities(wanted).connect(driver).await.map(Self).map_err(said)
    }

    /// Ends the browser.
    pub async fn close(self) {
        if let Err(e) = self.0.close().await {
            eprintln!("the browser did not close: {e}");
        }
    }

    /// Goes to an address.
    pub async fn goto(&self, url: &str) -> Result<(), String> {
        self.0.goto(url).await.map_err(|e| format!("{url}: {e}"))
    }

    /// Where it is.
    pub async fn url(&self) -> Result<String, String> {
        self.0.current_url().await.map(|url| url.to_string()).map_err(said)
    }

    /// The visible text.
    pub async fn text(&self) -> Result<String, String> {
        let body = self.0.find(Locator::Css("body")).await.map_err(said)?;
        body.text().await.map_err(said)
    }

    /// Address and text, for a failure's message.
    pub async fn describe(&self) -> String {
        format!("at {:?}:\n{}", self.url().await, self.text().await.unwrap_or_else(|e| e))
    }

    /// Clicks the first element that fits.
    pub async fn click(&self, css: &str) -> Result<(), String> {
        let element = self.0.find(Locator::Css(css)).await.map_err(|e| format!("{css}: {e}"))?;
        element.click().await.map_err(|e| format!("{css}: {e}"))
    }

    /// Types into a field, in place of what was there.
    pub async fn fill(&self, css: &str, value: &str) -> Result<(), String> {
        let field = self.0.find(Locator::Css(css)).await.map_err(|e| format!("{css}: {e}"))?;
        field.clear().await.map_err(said)?;
        field.send_keys(value).await.map_err(said)
    }

    /// Fills what the first form leaves empty, as a buyer would.
    pub async fn fill_empty_fields(&self) -> Result<(), String> {
        self.until(Duration::from_secs(10), Wanted::Element("form")).await?;
        let fields = "form input:not([type=hidden]):not([type=checkbox]):not([type=radio]), form textarea";
        for field in self.0.find_all(Locator::Css(fields)).await.map_err(said)? {
            let filled = field.prop("value").await.map_err(said)?.is_some_and(|value| !value.is_empty());
            if filled || !field.is_displayed().await.map_err(said)? {
                continue;
            }
            let kind = field.prop("type").await.map_err(said)?.unwrap_or_default();
            let value = match kind.as_str() {
                "email" => "buyer@example.com",
                "number" => "1",
                "submit" | "button" => continue,
                _ => "Ada Example",
            };
            field.send_keys(value).await.map_err(said)?;
        }
        Ok(())
    }

    /// Presses the first form's button.
    pub async fn submit(&self) -> Result<(), String> {
        self.press("form").await
    }

    /// Presses the button of the form that holds a field.
    pub async fn submit_form_of(&self, field: &str) -> Result<(), String> {
        self.press(&format!("form:has({field})")).await
    }

    async fn press(&self, form: &str) -> Result<(), String> {
        self.click(&format!("{form} button:not([type=button]), {form} input[type=submit]")).await
    }

    async fn shows(&self, wanted: Wanted<'_>) -> Result<bool, String> {
        Ok(match wanted {
            Wanted::Element(css) => !self.0.find_all(Locator::Css(css)).await.map_err(said)?.is_empty(),
            Wanted::Gone(css) => self.0.find_all(Locator::Css(css)).await.map_err(said)?.is_empty(),
            Wanted::Text(text) => self.text().await?.to_lowercase().contains(&text.to_lowercase()),
        })
    }

    /// Waits until the page shows it.
    pub async fn until(&self, at_most: Duration, wanted: Wanted<'_>) -> Result<(), String> {
        self.poll(at_most, wanted, false).await
    }

    /// Waits until the page shows it, loading it anew in between: the pages work without scripts.
    pub async fn reload_until(&self, at_most: Duration, wanted: Wanted<'_>) -> Result<(), String> {
        self.poll(at_most, wanted, true).await
    }

    async fn poll(&self, at_most: Duration, wanted: Wanted<'_>, reload: bool) -> Result<(), String> {
        let end = Instant::now() + at_most;
        loop {
            // A page that is just being replaced answers with an error; the next look finds the new one.
            let seen = self.shows(wanted).await;
            if seen == Ok(true) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!(
                    "waited {at_most:?} for {wanted:?}; {seen:?}; {}",
                    self.describe().await
                ));
            }
            tokio::time::sleep(LOOK).await;
            if reload {
                self.0.refresh().await.map_err(said)?;
            }
        }
    }

    /// Sets the size of the visible page, as a phone has it: a window cannot be made that narrow.
    pub async fn resize(&self, width: u32, height: u32) -> Result<(), String> {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 2, "mobile": true});
        self.0
            .issue_cmd(DevTools { command: "Emulation.setDeviceMetricsOverride", parameters: metrics })
            .await
            .map(drop)
            .map_err(said)
    }

    /// Nothing reaches over the right edge.
    pub async fn fits(&self) -> Result<(), String> {
        let script = "const e = document.documentElement; return [e.scrollWidth, e.clientWidth];";
        let widths = self.0.execute(script, Vec::new()).await.map_err(said)?;
        match (widths[0].as_u64(), widths[1].as_u64()) {
            (Some(content), Some(visible)) if content <= visible => Ok(()),
            _ => Err(format!("the page is wider than the phone: {widths} at {:?}", self.url().await)),
        }
    }

    /// Keeps a picture beside the build output.
    pub async fn screenshot(&self, name: &str) -> Result<(), String> {
        let folder = pictures();
        std::fs::create_dir_all(&folder).map_err(said)?;
        let png = self.0.screenshot().await.map_err(said)?;
        std::fs::write(folder.join(name), png).map_err(said)
    }
}

/// `target/browser`, wherever the target folder is: the test runs from `target/debug/deps`.
fn pictures() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.ancestors().nth(3).unwrap_or(Path::new("target")).join("browser")
}

/// A command of Chromium's own protocol, through chromedriver.
#[derive(Debug)]
struct DevTools {
    command: &'static str,
    parameters: Value,
}

impl fantoccini::wd::WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({"cmd": self.command, "params": self.parameters}).to_string()))
    }
}
