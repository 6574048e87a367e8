//! Warnings with `fault=self`: each fails the tests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Once, PoisonError};
use std::{fmt, sync};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

static SEEN: AtomicUsize = AtomicUsize::new(0);
static FIRST: sync::Mutex<String> = sync::Mutex::new(String::new());
static WATCH: Once = Once::new();

/// Counts such warnings from now on, in the whole process.
pub(crate) fn watch() {
    WATCH.call_once(|| {
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Watcher)).unwrap();
    });
}

/// Fails if this process has logged a warning with `fault=self`.
pub(crate) fn assert_none() {
    let first = FIRST.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(SEEN.load(Ordering::SeqCst), 0, "the first: {first}");
}

struct Watcher;

impl<S: Subscriber> Layer<S> for Watcher {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        if fields.is_own_fault {
            SEEN.fetch_add(1, Ordering::SeqCst);
            let mut first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
            if first.is_empty() {
                *first = fields.text;
            }
        }
    }
}

#[derive(Default)]
struct Fields {
    is_own_fault: bool,
    text: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.is_own_fault |= field.name() == "fault" && value == "self";
        self.record_debug(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text.push_str(&format!("{}={value:?} ", field.name()));
    }
}
