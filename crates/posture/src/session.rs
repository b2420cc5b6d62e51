//! A model that stays graded while it changes: what a change does not touch is not asked again.
use std::sync::Arc;

use model::{Model, load::text::Text};
use time::Date;

use crate::{
    Delta, Edit, EditError, Finding, Input, Path, edit,
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

    /// Goes on to the next state of the model, and gives back the one before. The two are compared; beside that it costs what
    /// differs, where the zones are the same and no flows changed places; else as much as from scratch. The day stays the one of
    /// the beginning.
    pub fn next(&mut self, model: Arc<Model>, text: Option<&Text>) -> Arc<Model> {
        self.graded.follow(Some(&self.model), Input { model: &model, text, today: self.today }, Paths::Always);
        std::mem::replace(&mut self.model, model)
    }

    /// Makes edits, and tells what that changes of the findings. Costs what is edited: nothing is compared. The model is changed
    /// in place where nobody else holds it, else in a copy.
    ///
    /// # Errors
    /// An edit names what the model does not have; then none is made.
    pub fn edit(&mut self, edits: Vec<Edit>) -> Result<Delta, EditError> {
        let difference = edit::apply(&mut self.model, edits)?;
        let input = Input { model: &self.model, text: None, today: self.today };
        Ok(self.graded.go_on(Some(difference), input, Paths::Always))
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
