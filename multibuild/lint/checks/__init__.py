"""The checks of the rules, a module for each subject: pure functions from a view to what is found."""
