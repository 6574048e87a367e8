//! `cairn metanode`.

use cairn_metanode::config::MASTER_KEY_FILE;
use cairn_metanode::{Config, Metanode};
use cairn_protocol::env::Env;
use cairn_protocol::event::EventBus;
use cairn_protocol::metadata::RootCredentials;

use crate::arguments::MetanodeArguments;
use crate::process::{listen, raise_file_limit, say, shutdown_on_signals};

/// Runs a metanode until a signal stops it.
pub(crate) async fn run(arguments: MetanodeArguments) -> anyhow::Result<()> {
    let env = Env::system();
    let secret = arguments.secret.load()?;
    let mut config = Config::new(arguments.data_dir);
    config.blocks = arguments.blocks.config()?;
    config.limits = arguments.listener.limits(&config.limits)?;
    config.master_key = arguments.master_key.source(&config.directory.join(MASTER_KEY_FILE))?;
    config.root_credentials = arguments.credentials.load()?;
    let identity = arguments.tls.identity(&secret, &env)?;
    let shutdown = shutdown_on_signals()?;
    raise_file_limit();
    let shutdown_of_tls = shutdown.clone();
    let listener = listen(arguments.listen, "--listen").await?;
    let port = arguments.internal.port(listener.local_addr()?, &identity)?;
    config.tls.clone_from(&port.tls);
    tokio::spawn(async move { identity.keep_current(shutdown_of_tls).await });
    let metanode = Metanode::open(config, secret, env.clone(), EventBus::new(env)).await?;
    if metanode.root_credentials_are_new() {
        let RootCredentials { access_key, secret_key } = metanode.root_credentials();
        say(format_args!("root credentials, made now: access key {access_key}, secret key {secret_key}"));
    }
    say(format_args!("cairn metanode ready on {}", port.url()));
    metanode.serve(listener, shutdown).await;
    metanode.close().await;
    Ok(())
}
