GREETING = 'grüße'
