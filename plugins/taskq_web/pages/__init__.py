"""The pages: a module a tab, a function an address. Each reads what it shows with a bounded number of calls."""
