//! A finding of `doctor`: how much it weighs, what it is about, and what to do.

use std::fmt;

/// How a finding weighs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Weight {
    /// As it should be.
    Good,
    /// Works, but know it.
    Note,
    /// Stands in the way.
    Problem,
}

impl Weight {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Problem => "problem",
        }
    }
}

/// Something that was looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// How it weighs.
    pub weight: Weight,
    /// What it is about, in a word or two.
    pub subject: &'static str,
    /// What was found.
    pub text: String,
    /// What to do about it, word for word; empty when there is nothing to be done.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.weight {
            Weight::Good => "ok  ",
            Weight::Note => "note",
            Weight::Problem => "FAIL",
        };
        write!(f, "{mark} {:<11} {}", self.subject, self.text)?;
        if !self.remedy.is_empty() {
            write!(f, "\n{:17}do: {}", "", self.remedy)?;
        }
        Ok(())
    }
}

/// Makes one that is as it should be.
pub fn good(subject: &'static str, text: impl Into<String>) -> Finding {
    Finding {
        weight: Weight::Good,
        subject,
        text: text.into(),
        remedy: String::new(),
    }
}

/// Makes one to be known.
pub fn note(subject: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding {
        weight: Weight::Note,
        remedy: remedy.into(),
        ..good(subject, text)
    }
}

/// Makes one that stands in the way.
pub fn problem(
    subject: &'static str,
    text: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    Finding {
        weight: Weight::Problem,
        ..note(subject, text, remedy)
    }
}
