raise RuntimeError("\x1b[31m<script>alert(1)</script>\ud800\0")
