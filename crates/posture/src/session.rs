//! A model that stays graded while it changes: what a change does not touch is not asked again.
use std::sync::Arc;

use model::{Model, load::text::Text};
use time::Date;

use crate::{
    Delta, Finding, Input, Path,
    grade::{Graded, Paths},
};

/// A model with its findings and its paths from outside, that can go on to the next state of the model. What it then says is
/// what grading that from scratch says.
pub struct Session {
    model: Arc<Model>,
    today: Date,
    graded: Graded,
}

impl Session {
    /// Grades a model; with its text findings and steps have their places.
    pub fn new(model: Arc<Model>, text: Option<&Text>, today: Date) -> Self {
        let mut graded = Graded::default();
        graded.follow(None, Input { model: &model, text, today }, Paths::Always);
        Self { model, today, graded }
    }

    /// Goes on to the next state of the model; what that changes of the findings. The two are compared; beside that it costs
    /// what differs, where the zones are the same and no flows changed places; else as much as from scratch. The day stays the
    /// one of the beginning. To free a large model takes its time: whoever would rather not wait keeps the one before.
    pub fn next(&mut self, model: Arc<Model>, text: Option<&Text>) -> Delta {
        let input = Input { model: &model, text, today: self.today };
        let delta = self.graded.follow(Some(&self.model), input, Paths::Always);
        self.model = model;
        delta
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The findings, worst first; of the same severity by id.
    pub fn findings(&self) -> impl ExactSizeIterator<Item = &Finding> {
        self.graded.findings.values()
    }

    /// The paths of everybody outside to everything that matters.
    pub fn paths(&self) -> &[Path] {
        &self.graded.paths
    }
}

#[cfg(test)]
mod tests;
