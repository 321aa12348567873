// Nothing to do, but a file to wait for: what a theme does once a page is read comes after it, and a frame fits between, in
// which the last widget can be seen and used already (tools/book_site.py puts this behind it).
