//! The harness that repeats, fails and kills every step of a workflow.
