"""taskq: background jobs, with Resque's protocol on Redis and every part pluggable."""
