"""The routes, one module a subject: validate, call one function, answer."""
