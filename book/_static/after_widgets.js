// This does nothing, but the browser waits for it: what the theme does once the page is read comes later, and between fits a
// frame in which the last widget can already be seen and used (tools/book_site.py puts this after it).
