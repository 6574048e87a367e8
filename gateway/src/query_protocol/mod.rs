//! AWS's Query protocol, which the IAM API and STS speak: parameters of a form, and answers in XML.
//!
//! Source: IAM User Guide, "Calling the IAM API using HTTP query requests"; Smithy, "AWS query protocol".
//!
//! | module | what is there |
//! |---|---|
//! | `parameters` | the parameters of a request |
//! | `validation` | limits of parameters, in AWS's words |
//! | `fault` | errors with AWS's codes, statuses and documents |
//! | `answer` | answers |
//! | `api` | the two services |
//! | `call` | a request whose sender is verified, and whether the sender may do what it asks for |

mod answer;
mod api;
mod call;
mod fault;
mod parameters;
mod validation;

pub(crate) use answer::Answer;
pub(crate) use api::Api;
pub(crate) use call::{Call, Operation};
pub(crate) use fault::{Answered, Fault};
pub(crate) use parameters::Parameters;
pub(crate) use validation::{characters, constraint};
