//! The progress of a task: a bar on a terminal, plain lines elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// The progress of one task, shown on standard error.
pub struct Progress {
    label: String,
    bar: Option<ProgressBar>,
    step: Option<String>,
}

impl Progress {
    /// Begins to show it.
    pub fn start(label: &str) -> Self {
        let bar = console::Term::stderr().is_term().then(|| {
            let style = ProgressStyle::with_template(
                "{spinner} {prefix} [{bar:24}] {pos:>3}% {elapsed} {wide_msg}",
            )
            .expect("the template is a constant")
            .progress_chars("=> ");
            let bar = ProgressBar::new(100).with_style(style);
            bar.set_prefix(label.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            label: label.to_owned(),
            bar,
            step: None,
        }
    }

    /// Shows a percentage and the name of the step the task is at.
    pub fn show(&mut self, percent: Option<&str>, step: Option<&str>) {
        if let Some(bar) = &self.bar {
            if let Some(percent) = percent.and_then(|percent| percent.parse().ok()) {
                bar.set_position(percent);
            }
            bar.set_message(step.unwrap_or_default().to_owned());
        } else if step.is_some() && step != self.step.as_deref() {
            let percent = percent.map_or_else(String::new, |percent| format!(" {percent}%"));
            let step = step.unwrap_or_default();
            output::remark(&format!("{}{percent}: {step}", self.label));
        }
        if let Some(step) = step {
            self.step = Some(step.to_owned());
        }
    }

    /// The last thing that was heard of the task: a step, or why it failed.
    pub fn last_heard(&self) -> Option<&str> {
        self.step.as_deref()
    }

    /// Clears the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
