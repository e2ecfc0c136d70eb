"""Models of the pipeline behind OpenAI's API, with a page to write with them."""
