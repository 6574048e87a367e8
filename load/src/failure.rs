//! Why a request failed.

use http::StatusCode;

use crate::contents::WrongByte;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server answered with an error.
    #[error("{status} {code}: {message}")]
    Answer {
        /// The status.
        status: StatusCode,
        /// The code in the document, or nothing.
        code: String,
        /// The message in the document, or nothing.
        message: String,
    },
    /// There was no answer, or it broke off.
    #[error("no answer: {0}")]
    Transport(String),
    /// It took longer than a request may.
    #[error("no answer in time")]
    TimedOut,
    /// The bytes are not those that were written.
    #[error("{key} is damaged: {wrong}")]
    Damaged {
        /// The key.
        key: String,
        /// Where.
        wrong: WrongByte,
    },
    /// The answer has not what it must have.
    #[error("{key}: {what}")]
    Wrong {
        /// The key.
        key: String,
        /// What is wrong.
        what: String,
    },
}

impl Failure {
    /// The kind, by which failures are counted.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Answer { status, code, .. } => format!("{} {code}", status.as_u16()).trim_end().to_owned(),
            Self::Transport(_) => "no answer".to_owned(),
            Self::TimedOut => "timed out".to_owned(),
            Self::Damaged { .. } => "damaged".to_owned(),
            Self::Wrong { .. } => "wrong answer".to_owned(),
        }
    }

    /// Whether the server returned something else than it was given.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Wrong { .. })
    }

    /// Whether the server says that the object is not there.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Answer { status, .. } if *status == StatusCode::NOT_FOUND)
    }
}
