"""What can be read off a text without a model: words, lengths, language, refusals, endings, repetition."""
