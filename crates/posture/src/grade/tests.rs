//! Grading: consequences, waivers, order.
