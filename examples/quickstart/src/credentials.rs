use std::{
    fmt::Write,
    hash::{BuildHasher, Hasher, RandomState},
    net::SocketAddr,
};

use crate::common;

/// The credentials that the App Dashboard and this process share.
pub(crate) struct Credentials {
    pub(crate) app_secret: Credential,
    pub(crate) verify_token: Credential,
}

pub(crate) struct Credential {
    pub(crate) value: String,
    variable: &'static str,
    generated: bool,
}

impl Credentials {
    pub(crate) fn from_env() -> Result<Self, String> {
        Ok(Self {
            app_secret: Credential::from_env("WHATSAPP_APP_SECRET")?,
            verify_token: Credential::from_env("WHATSAPP_VERIFY_TOKEN")?,
        })
    }

    /// Prints commands that call the webhook, if at least one credential was generated.
    pub(crate) fn explain(&self, address: SocketAddr) {
        let both = [&self.app_secret, &self.verify_token];
        if !both.iter().any(|credential| credential.generated) {
            return;
        }
        for Credential { variable, .. } in both.iter().filter(|credential| credential.generated) {
            println!("{variable} is not set: generated one for this run");
        }
        let [app_secret, verify_token] = both.map(Credential::as_shell_word);
        println!(
            r#"
The verification handshake that Meta sends when you register the URL:

  curl --get http://{address}/webhook --data hub.mode=subscribe --data-urlencode "hub.verify_token={verify_token}" --data hub.challenge=1158201444

A signed delivery of one text message:

  body='{{"object":"whatsapp_business_account","entry":[{{"id":"0","changes":[{{"field":"messages","value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550000001","phone_number_id":"100000000000001"}},"contacts":[{{"profile":{{"name":"Ada"}},"wa_id":"16505550001"}}],"messages":[{{"from":"16505550001","id":"wamid.A","timestamp":"1760000000","type":"text","text":{{"body":"hi"}}}}]}}}}]}}]}}'
  signature=$(printf %s "$body" | openssl dgst -sha256 -hmac "{app_secret}" -r | cut -d' ' -f1)
  curl http://{address}/webhook --header 'Content-Type: application/json' --header "X-Hub-Signature-256: sha256=$signature" --data-binary "$body"
"#
        );
    }
}

impl Credential {
    fn from_env(variable: &'static str) -> Result<Self, String> {
        let given = common::optional(variable)?;
        Ok(Self {
            generated: given.is_none(),
            value: given.unwrap_or_else(random),
            variable,
        })
    }

    /// The value as a shell expression. A value from the environment is never printed.
    fn as_shell_word(&self) -> String {
        if self.generated {
            self.value.clone()
        } else {
            format!("${}", self.variable)
        }
    }
}

/// 32 random bytes in hexadecimal.
///
/// The standard library seeds `RandomState` with 128 bits per thread from the operating system.
/// That is hard to guess while an example runs, and needs no other crate, but its documentation
/// does not promise it. Use `openssl rand -hex 32` for a permanent secret.
fn random() -> String {
    let mut text = String::with_capacity(64);
    for _ in 0..4 {
        let part = RandomState::new().build_hasher().finish();
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{part:016x}");
    }
    text
}
