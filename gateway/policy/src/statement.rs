//! Whether a statement applies to a request.

use crate::action::ActionPattern;
use crate::condition::Condition;
use crate::context::Context;
use crate::pattern::ArnPattern;
use crate::principal::{Named, NamedPrincipal, Sender};

/// A statement of a policy.
#[derive(Clone, Debug)]
pub struct Statement {
    /// `Sid`.
    pub sid: Option<String>,
    /// `Effect`.
    pub effect: Effect,
    /// `Principal` or `NotPrincipal`.
    pub principals: Principals,
    /// `Action` or `NotAction`.
    pub actions: Actions,
    /// `Resource` or `NotResource`.
    pub resources: Resources,
    /// `Condition`: all must hold.
    pub conditions: Vec<Condition>,
}

/// The effect of a statement that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The request is allowed, unless another statement denies it.
    Allow,
    /// The request is denied.
    Deny,
}

/// The principals of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principals {
    /// The identity to which the policy is attached.
    TheOwner,
    /// `Principal`.
    Listed(Vec<NamedPrincipal>),
    /// `NotPrincipal`.
    AllBut(Vec<NamedPrincipal>),
}

/// The actions of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actions {
    /// `Action`.
    Listed(Vec<ActionPattern>),
    /// `NotAction`.
    AllBut(Vec<ActionPattern>),
}

/// The resources of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resources {
    /// All: a trust policy has none, because it belongs to its role.
    Any,
    /// `Resource`.
    Listed(Vec<ArnPattern>),
    /// `NotResource`.
    AllBut(Vec<ArnPattern>),
}

/// A request, as statements see it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The sender.
    pub sender: &'a Sender<'a>,
    /// The action in lower case, such as `s3:getobject`.
    pub action: &'a str,
    /// The ARN of the resource.
    pub resource: &'a str,
    /// The condition keys.
    pub context: &'a Context,
}

impl Statement {
    /// How the statement applies to a request: [`Named::Not`] if it does not, else how it names the sender.
    pub fn applies(&self, subject: &Subject<'_>) -> Named {
        let named = self.principals.names(subject);
        let applies = named != Named::Not
            && self.actions.include(subject.action)
            && self.resources.include(subject, self.effect) == Some(true)
            && self.conditions.iter().all(|condition| self.holds(condition, subject.context));
        if applies { named } else { Named::Not }
    }

    /// Whether a condition holds. An unknown answer counts as no: what is unknown must not allow, and AWS does not deny by it
    /// either. Only a Deny with a negated test applies then, because the request has not shown that it is the exception.
    fn holds(&self, condition: &Condition, context: &Context) -> bool {
        let unknown = self.effect == Effect::Deny && condition.is_negated();
        condition.holds(context).unwrap_or(unknown)
    }
}

impl Principals {
    fn names(&self, subject: &Subject<'_>) -> Named {
        let strongest = |names: &[NamedPrincipal]| {
            names.iter().map(|name| subject.sender.named_by(name)).max().unwrap_or(Named::Not)
        };
        match self {
            Self::TheOwner => Named::Itself,
            Self::Listed(names) => strongest(names),
            Self::AllBut(names) if strongest(names) == Named::Not => Named::Indirectly,
            Self::AllBut(_) => Named::Not,
        }
    }
}

impl Actions {
    fn include(&self, action: &str) -> bool {
        match self {
            Self::Listed(patterns) => patterns.iter().any(|pattern| pattern.matches_lower_case(action)),
            Self::AllBut(patterns) => !patterns.iter().any(|pattern| pattern.matches_lower_case(action)),
        }
    }
}

impl Resources {
    /// A variable without a value matches nothing. With `NotResource` this would include everything, so that an Allow then
    /// applies to nothing.
    fn include(&self, subject: &Subject<'_>, effect: Effect) -> Option<bool> {
        let matches = |pattern: &ArnPattern| pattern.matches(subject.resource, subject.context);
        match (self, effect) {
            (Self::Any, _) => Some(true),
            (Self::Listed(patterns), _) => {
                Some(patterns.iter().any(|pattern| matches(pattern) == Some(true)))
            }
            (Self::AllBut(patterns), Effect::Deny) => {
                Some(!patterns.iter().any(|pattern| matches(pattern) == Some(true)))
            }
            (Self::AllBut(patterns), Effect::Allow) => {
                let mut any = false;
                for pattern in patterns {
                    any |= matches(pattern)?;
                }
                Some(!any)
            }
        }
    }
}
