"""All that knows OpenAI's API: request, wire, answer, errors."""
