from main import app as application
