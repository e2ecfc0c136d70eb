"""From drafts to a training set: rules, rejected rows, the data card."""
