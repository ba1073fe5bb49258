use std::{
    fmt::Write,
    hash::{BuildHasher, Hasher, RandomState},
    net::SocketAddr,
};

use crate::common;

/// What the App Dashboard and this process both know.
pub(crate) struct Credentials {
    pub(crate) app_secret: Credential,
    pub(crate) verify_token: Credential,
}

pub(crate) struct Credential {
    pub(crate) value: String,
    variable: &'static str,
    made: bool,
}

impl Credentials {
    pub(crate) fn from_env() -> Result<Self, String> {
        Ok(Self {
            app_secret: Credential::from_env("WHATSAPP_APP_SECRET")?,
            verify_token: Credential::from_env("WHATSAPP_VERIFY_TOKEN")?,
        })
    }

    /// Prints how to try the webhook, if something had to be made that nobody knows yet.
    pub(crate) fn explain(&self, address: SocketAddr) {
        let both = [&self.app_secret, &self.verify_token];
        if !both.iter().any(|credential| credential.made) {
            return;
        }
        for Credential { variable, .. } in both.iter().filter(|credential| credential.made) {
            println!("{variable} is not set: made one for this run");
        }
        let [app_secret, verify_token] = both.map(Credential::in_shell);
        println!(
            r#"
The handshake, as Meta does it when the URL is registered:

  curl --get http://{address}/webhook --data hub.mode=subscribe --data-urlencode "hub.verify_token={verify_token}" --data hub.challenge=1158201444

A text message, signed as Meta does it:

  body='{{"object":"whatsapp_business_account","entry":[{{"id":"0","changes":[{{"field":"messages","value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550000001","phone_number_id":"100000000000001"}},"contacts":[{{"profile":{{"name":"Ada"}},"wa_id":"16505550001"}}],"messages":[{{"from":"16505550001","id":"wamid.A","timestamp":"1760000000","type":"text","text":{{"body":"hi"}}}}]}}}}]}}]}}'
  signature=$(printf %s "$body" | openssl dgst -sha256 -hmac "{app_secret}" -r | cut -d' ' -f1)
  curl http://{address}/webhook --header 'Content-Type: application/json' --header "X-Hub-Signature-256: sha256=$signature" --data-binary "$body"
"#
        );
    }
}

impl Credential {
    fn from_env(variable: &'static str) -> Result<Self, String> {
        let given = common::variable(variable)?;
        Ok(Self {
            made: given.is_none(),
            value: given.unwrap_or_else(random),
            variable,
        })
    }

    /// How a shell gets at it. What the user gave is not printed.
    fn in_shell(&self) -> String {
        if self.made {
            self.value.clone()
        } else {
            format!("${}", self.variable)
        }
    }
}

/// 32 random bytes in hexadecimal.
///
/// The standard library seeds `RandomState` from the operating system: 128 bits for each thread, which nobody guesses while an
/// example runs, and no other crate is needed. Its documentation does not promise that, so a secret that is to last is for
/// `openssl rand -hex 32`.
fn random() -> String {
    let mut text = String::with_capacity(64);
    for _ in 0..4 {
        let part = RandomState::new().build_hasher().finish();
        // A `String` takes whatever is written.
        let _ = write!(text, "{part:016x}");
    }
    text
}
