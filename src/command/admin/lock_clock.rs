//! `cairn admin lock-clock`: the clock by which locks of versions end.

use cairn_protocol::admin::{Admin, AdvanceLockClock, LockClockRequest, LockClockStatus};
use clap::Subcommand;

use super::Printer;
use super::consent::Consent;
use crate::units::{span, time};

const AFTER_HELP: &str = "\
The clock for locks never goes back, and does not follow the metanode's wall clock when that leaps forward. It is behind \
after a stop of more than a day, and after the wall clock was set forward: then locks last longer by as much. Setting it \
forward ends the locks whose time is over by the wall clock of the metanode, and lifecycle rules are due by it too. Check that \
clock first: a lock that has ended, or an object that has expired, cannot be brought back.";

#[derive(Subcommand, Debug)]
pub(super) enum LockClockOperation {
    /// Show the clock for locks, and how far it is behind
    Show,
    /// Set the clock for locks forward to the metanode's wall clock
    #[command(after_help = AFTER_HELP)]
    Advance(Consent),
}

pub(super) async fn run(
    operation: LockClockOperation,
    admin: &dyn Admin,
    printer: Printer,
) -> anyhow::Result<()> {
    let status = admin.lock_clock(LockClockRequest {}).await?;
    let LockClockOperation::Advance(consent) = operation else {
        return printer.show(&status, text);
    };
    if consent.dry_run {
        return printer.show(&status, text);
    }
    if status.behind_ms == 0 {
        anyhow::bail!("nothing was done: the clock for locks is not behind");
    }
    printer.note(text(&status));
    if consent.given()? {
        let advanced = admin.advance_lock_clock(AdvanceLockClock { until: status.wall }).await?;
        printer.show(&advanced, text)?;
    }
    Ok(())
}

fn text(status: &LockClockStatus) -> String {
    let shown = time(status.time);
    match status.behind_ms {
        0 => format!("The clock for locks shows {shown}, as the metanode's wall clock."),
        behind => format!(
            "The clock for locks shows {shown}, {} behind the metanode's wall clock, which shows {}. Locks last longer by \
             that much, unless `cairn admin lock-clock advance` sets it forward.",
            span(behind),
            time(status.wall)
        ),
    }
}

#[cfg(test)]
mod tests {
    use cairn_protocol::env::Timestamp;

    use super::*;
    use crate::command::admin::fake::{Fake, parse};

    #[tokio::test]
    async fn the_clock_is_set_to_the_time_that_was_shown_and_not_in_a_dry_run() {
        // The fake's clock is five seconds behind 1970-01-01T00:01:40Z.
        for (line, orders) in [
            (&["show"][..], vec![]),
            (&["advance", "--dry-run"], vec![]),
            (&["advance", "--yes"], vec!["advance_lock_clock 100000"]),
        ] {
            let fake = Fake::default();
            run(parse(line).unwrap(), &fake, Printer { json: true }).await.unwrap();
            assert_eq!(fake.orders(), orders);
        }
    }

    #[test]
    fn it_is_said_how_far_the_clock_is_behind() {
        let status = LockClockStatus {
            time: Timestamp(95_000),
            wall: Timestamp(100_000),
            behind_ms: 5_000,
            allowance_ms: 0,
        };
        assert!(text(&status).contains("shows 1970-01-01T00:01:35Z, 5.0s behind"));
        let status = LockClockStatus { behind_ms: 0, ..status };
        assert!(text(&status).ends_with("as the metanode's wall clock."));
    }
}
