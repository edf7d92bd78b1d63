//! Comparisons, budgets and reference bundles.
