"""
From a filter to a page of runs.

- `filter`: reads text such as `metrics.loss < 0.3 and params.lr = 0.1`, cut into words by `filter_tokens`, into what
  `filter_terms` has. `completion`: what may follow while one is typed. `names`: what a name can mean. `sql_builder`:
  builds SQL in which everything that people typed is a parameter, with `conditions`. `regexes`: what
  PostgreSQL says of regular expressions.
- `filter_tree`: the same filters as JSON, for programs. `ordered_search`: searches in the order of several keys.
- `page_token`: names the last run of a page by its position in the order, so runs added meanwhile do not shift
  pages, and the thousandth page costs as much as the first.
"""
